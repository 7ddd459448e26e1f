// Copies the page's address: settings and sample, without what only this visit knows.

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text }); // pages served over plain HTTP have no clipboard
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.onclick = async () => {
    const address = new URL(window.location.href);
    for (const name of data.drop) address.searchParams.delete(name);
    await copy(address.href);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy link"), 2000);
  };
}
