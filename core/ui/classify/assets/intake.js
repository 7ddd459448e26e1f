// Photos dropped or pasted anywhere on the page, and the key that opens the file dialog: all of them go to the uploader's own field.
// A dialog opens only in direct answer to a key or click, which a button's way over the server is not.

const DRAGGING = "photos-dragged";

function field(prefix) {
  return document.querySelector(`[class*="st-key-${prefix}-"] input[type=file]`);
}

function give(prefix, files) {
  const input = field(prefix);
  if (!input || !files.length) return;
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

const pictures = (list) => [...(list ?? [])].filter((file) => file.size);
const typing = (event) => event.composedPath()[0]?.closest?.("input:not([type=file]), textarea, [contenteditable=true]");

export default function ({ data }) {
  const { uploader } = data;
  const inZone = (event) => event.composedPath().some((element) => element.dataset?.testid === "stFileUploaderDropzone");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const listeners = {
    keydown: (event) => {
      const modified = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
      if (!modified || event.key.toLowerCase() !== "o" || event.defaultPrevented) return;
      event.preventDefault();
      field(uploader)?.click();
    },
    paste: (event) => {
      const files = pictures(event.clipboardData?.files);
      if (event.defaultPrevented || !files.length || typing(event) || inZone(event)) return;
      event.preventDefault();
      give(uploader, files);
    },
    dragenter: (event) => {
      if (!carriesFiles(event)) return;
      depth += 1;
      document.documentElement.classList.add(DRAGGING);
    },
    dragleave: (event) => {
      if (!carriesFiles(event)) return;
      depth = Math.max(0, depth - 1);
      if (!depth) document.documentElement.classList.remove(DRAGGING);
    },
    dragover: (event) => carriesFiles(event) && event.preventDefault(),
    drop: (event) => {
      depth = 0;
      document.documentElement.classList.remove(DRAGGING);
      // Not asked: event.defaultPrevented, which the uploader sets for every drop outside itself, so that the browser opens no file.
      if (!carriesFiles(event) || inZone(event)) return;
      event.preventDefault();
      give(uploader, pictures(event.dataTransfer.files));
    },
  };
  for (const [type, listener] of Object.entries(listeners)) window.addEventListener(type, listener);
  const accept = () => field(uploader)?.setAttribute("accept", "image/*"); // what a phone's dialog offers first; others are accepted as well
  const observer = new MutationObserver(accept);
  observer.observe(document.body, { childList: true, subtree: true });
  accept();
  document.documentElement.dataset.photoIntake = "listening"; // what a browser test waits for
  return () => {
    observer.disconnect();
    for (const [type, listener] of Object.entries(listeners)) window.removeEventListener(type, listener);
    delete document.documentElement.dataset.photoIntake;
  };
}
