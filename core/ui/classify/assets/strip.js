// The tiles of the open photos. Acts are sent as a list, so that one pressed while another is being answered is not lost.

const STRIPS = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  const strip = STRIPS.get(parentElement) ?? { acts: [], selected: null };
  STRIPS.set(parentElement, strip);
  const act = (what, photo) => {
    const id = Math.max(Date.now(), (strip.acts.at(-1)?.id ?? 0) + 1);
    strip.acts = [...strip.acts, { id, do: what, photo }].slice(-30);
    setStateValue("acts", strip.acts);
  };
  const root = parentElement.querySelector(".tiles");
  const held = parentElement.activeElement?.dataset?.hold;
  const kept = new Map([...root.children].map((tile) => [tile.dataset.photo, tile]));
  root.replaceChildren(...data.tiles.map((photo, i) => {
    const tile = kept.get(photo.id) ?? document.createElement("div");
    if (!tile.firstChild) {
      tile.className = "tile";
      tile.dataset.photo = photo.id;
      tile.setAttribute("role", "listitem");
      tile.innerHTML = '<button type="button" class="look"><img alt=""><span></span></button><button type="button" class="close">×</button>';
      tile.querySelector("img").src = photo.url;
      tile.querySelector(".look").onclick = () => act("select", tile.dataset.photo);
      tile.querySelector(".close").onclick = () => act("close", tile.dataset.photo);
    }
    const [look, close] = tile.querySelectorAll("button");
    look.dataset.hold = `look-${photo.id}`;
    close.dataset.hold = `close-${photo.id}`;
    look.title = photo.name;
    look.setAttribute("aria-label", `Photo ${i + 1} of ${data.tiles.length}: ${photo.name}, ${photo.label}`);
    close.setAttribute("aria-label", `Close ${photo.name}`);
    close.title = "Close";
    tile.querySelector("span").textContent = photo.label;
    tile.setAttribute("aria-current", String(photo.id === data.selected));
    return tile;
  }));
  if (strip.selected !== data.selected) {
    strip.selected = data.selected;
    const tile = root.querySelector("[aria-current=true]");
    if (tile) root.scrollTo({ left: tile.offsetLeft - (root.clientWidth - tile.clientWidth) / 2, behavior: "smooth" });
  }
  if (held) root.querySelector(`[data-hold="${held}"]`)?.focus({ preventScroll: true });
  return () => STRIPS.delete(parentElement);
}
