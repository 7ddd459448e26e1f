// Scrolls to what a step is about as soon as it is there, and keeps it there while the page settles; whoever scrolls is left alone.

const PATIENCE = 15000, SETTLING = 2500; // milliseconds
let shown = -1;

export default function ({ data }) {
  const { step, target } = data;
  if (step === shown) return;
  shown = step;
  if (!target) return;
  let timer = setTimeout(() => stop(), PATIENCE), there = false;
  const stop = () => {
    observer.disconnect();
    for (const event of ["wheel", "touchmove"]) window.removeEventListener(event, stop);
    clearTimeout(timer);
  };
  const look = () => {
    const found = document.querySelector(`.st-key-${target}`);
    if (!found?.getBoundingClientRect().height) return;
    if (!there) {
      there = true;
      clearTimeout(timer);
      timer = setTimeout(stop, SETTLING);
    }
    found.style.scrollMarginTop = "4.5rem"; // below the header
    found.scrollIntoView({ block: "start" });
  };
  const observer = new MutationObserver(look);
  for (const event of ["wheel", "touchmove"]) window.addEventListener(event, stop, { once: true });
  observer.observe(document.body, { childList: true, subtree: true });
  look();
}
