// The photo of the classify page with boxes, outlines, labels and heat map on it, its tools, and the card of the selected box.
// Python sends what to show and is told what the visitor does (`acts`); nothing is decided here that Python has to know otherwise.
// New boxes are drawn on the drawable canvas that lies over the photo: pointers of every kind are played to it as a mouse that never
// leaves it, because it knows no touch and forgets a drag that crosses its edge.

const LONG = 20; // letters of a headline from which on it is set smaller on a phone
const STRAY = 5; // pixels; a pointer that moved less selects
const LEAST_SIDE = 150, MOST_SIDE = 12000; // pixels of the photo's shorter and longer side on the page
const LEAST_ROOM = 240; // pixels of height for the photo, however small the window
const VERDICT_ROOM = 96; // pixels below the photo on a phone
const WIDE = 700, LOW_WIDE = 520, LOW = 500; // pixels of the page from which on the card stands beside the photo, also in windows so low
const RAIL = 58 + 2 * 16; // pixels of the tools and the gaps beside the photo
const CARD = 0.27, LEAST_CARD = 250, MOST_CARD = 360; // share of the page, and pixels at the usual size of type, that the photo leaves to the card
const TYPE = 15; // pixels: the usual size of type
const LEAST_STAGE = 560, MAT = 96, GAP = 8; // pixels round the photo, and between two of them
const BLEED = 16; // pixels on either side that a phone's photo takes of the page's margin
const REACH = { mouse: 9, pen: 16, touch: 24 }; // pixels round a handle
const EDGE = 2; // pixels that a line keeps from the photo's edge
const LEAST_BOX = 8; // pixels on the screen
const SMOOTH = 12; // contour lines are drawn at most so many times finer than the map comes
const LEVELS = [0.25, 0.5, 0.75]; // of contour lines, as in core.plots.heatmap
const RIM = "#1c2430";
const ICONS = {
  draw: "M4 4h6v2H6v4H4V4Zm10 0h6v6h-2V6h-4V4ZM4 14h2v4h4v2H4v-6Zm9 1h3v-3h2v3h3v2h-3v3h-2v-3h-3v-2Z",
  edit: "M11 3h2v3h2l-3-3-3 3h2V3ZM12 1l4.5 4.5h-3.5V11h5.5V7.5L23 12l-4.5 4.5V13H13v5.5h3.5L12 23l-4.5-4.5H11V13H5.500v3.500L1 12l4.500-4.500V11H11V5.500H7.500L12 1Z",
  undo: "M7.4 18v-2h6.700a3.500 3.500 0 0 0 0-7H7.800l2.600 2.600L9 13 4 8l5-5 1.400 1.400L7.800 7h6.300a5.500 5.500 0 0 1 0 11H7.400Z",
  remove: "M9 3h6v1.500h5v2H4v-2h5V3ZM5.500 8h13l-1 13h-11l-1-13Zm2.200 2 .700 9h7.200l.700-9H7.700Z",
  find: "M4 4h5v2H6v3H4V4Zm11 0h5v5h-2V6h-3V4ZM4 15h2v3h3v2H4v-5Zm14 0h2v5h-5v-2h3v-3ZM11.500 7a4.500 4.500 0 0 1 3.600 7.200l2.300 2.300-1.400 1.400-2.300-2.300A4.500 4.500 0 1 1 11.500 7Zm0 2a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5Z",
  heat: "M12 2c.600 3.200 6 5.800 6 11.500A6.100 6.100 0 0 1 12 20a6.100 6.100 0 0 1-6-6.200c0-2.600 1.300-4.700 3-6.300.200 1.600.900 2.600 1.800 3C11.500 8 11.200 5 12 2Zm.200 10.500c-1.300 1-2.200 1.900-2.200 3.300a2 2 0 0 0 4 0c0-1.400-1-2.100-1.800-3.300Z",
};
const TOOLS = [
  ["draw", "Draw", "Draw a box"],
  ["edit", "Adjust", "Move and resize boxes"],
  ["undo", "Undo", "Undo the last change to the boxes"],
  ["remove", "Delete", "Delete the selected box"],
  ["find", "Find", "Find garments"],
  ["heat", "Heat map", "Heat map on or off"],
];
const TYPING = "input, textarea, select, [contenteditable=true], [role=combobox], [role=slider], [role=option]";
const CHOOSING = "[role=radio], [role=tab]"; // arrows and Enter are theirs

/** An element with attributes (functions become listeners) and children. */
function h(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect", "polygon", "circle", "g"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(key, value);
    else if (key === "style") element.style.cssText = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Give an element these children. One that is there already stays, or a tap that began on it would be lost when an answer comes. */
function put(parent, children) {
  children.forEach((child, i) => {
    const old = parent.children[i];
    child.made = child.outerHTML;
    if (!old) parent.append(child);
    else if (old.made !== child.made) old.replaceWith(child);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

const icon = (name) => h("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
const clamp = (value) => Math.min(1, Math.max(0, value));
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const hasMouse = () => matchMedia("(hover: hover) and (pointer: fine)").matches;

/** An element by selector inside an element's shadow roots. */
function within(host, selector) {
  for (const element of host?.querySelectorAll("*") ?? []) {
    const found = element.shadowRoot?.querySelector(selector);
    if (found) return found;
  }
  return host?.querySelector(selector) ?? null;
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.mode = hasMouse() ? "draw" : "look";
    this.acts = [];
    this.local = {}; // what the visitor did and Python has not answered yet
    this.hovered = null; // class whose bar is pointed at
    this.drag = null;
    this.pointer = null; // where the mouse is, as shares of the photo
    this.paper = this.find(".paper");
    this.listen(this.paper, "pointerdown", (event) => this.press(event));
    this.listen(this.paper, "pointermove", (event) => this.move(event));
    this.listen(this.paper, "pointerup", (event) => this.release(event));
    this.listen(this.paper, "pointercancel", () => this.cancel());
    this.listen(this.paper, "pointerleave", () => this.point(null));
    this.listen(this.paper, "dragstart", (event) => event.preventDefault());
    this.listen(window, "keydown", (event) => this.key(event));
    this.listen(window, "resize", () => this.layout());
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.find(".frame"));
  }

  find(selector) { return this.root.querySelector(selector); }

  listen(target, type, listener) {
    target.addEventListener(type, listener);
    (this.endings ??= []).push(() => target.removeEventListener(type, listener));
  }

  end() {
    this.observer.disconnect();
    this.endings.forEach((ending) => ending());
  }

  // What to show ------------------------------------------------------------------------------------------------------------------

  show(data, setStateValue) {
    const first = this.data?.photo.id !== data.photo.id;
    if (first) this.hover(null);
    this.data = data;
    this.send = setStateValue;
    if (data.acted >= (this.acts.at(-1)?.id ?? 0)) {
      const { drawn } = this.local;
      this.local = drawn && drawn.before === data.drawn && !first ? { drawn } : {};
    }
    if (first) {
      this.drag = null;
      this.loadPhoto();
    }
    this.layout();
  }

  loadPhoto() {
    const { id, alt } = this.data.photo;
    const source = document.querySelector(`.st-key-picture-${id} img`)?.src;
    if (!source) {
      requestAnimationFrame(() => this.data.photo.id === id && this.loadPhoto());
      return;
    }
    for (const image of this.root.querySelectorAll("img")) image.src = source;
    this.find("img.photo").alt = alt;
  }

  get marks() {
    const moved = this.local.moved;
    return this.data.marks
      .filter((mark) => mark.n !== this.local.removed)
      .map((mark) => (moved && mark.n === moved.n ? { ...mark, box: moved.box, outline: null } : mark));
  }
  get boxes() { return this.marks.filter((mark) => mark.box); }
  get selected() {
    const wanted = this.local.selected ?? this.data.selected;
    return this.marks.find((mark) => mark.n === wanted) ?? this.marks[0];
  }
  get heatShown() { return this.local.heat ?? this.data.heat.shown; }
  get twin() { return this.data.heat.view === "Side by side" && this.heatShown; }

  /** The photo as large as the window lets it be. */
  layout() {
    if (!this.data) return;
    const frame = this.find(".frame"), stage = this.find(".stage"), rail = this.find(".rail");
    if (!rail.children.length) this.drawRail();
    const wide = frame.clientWidth >= WIDE || (frame.clientWidth >= LOW_WIDE && window.innerHeight < LOW);
    frame.toggleAttribute("data-wide", wide);
    const scroller = document.querySelector("[data-testid=stMain]");
    const top = frame.getBoundingClientRect().top + (scroller?.scrollTop ?? 0);
    const bar = document.querySelector("[data-testid=stBottom]")?.offsetHeight ?? 0; // of presenter mode, whose type is larger too
    const large = parseFloat(getComputedStyle(document.documentElement).fontSize) / TYPE;
    const below = bar + (wide ? 14 : VERDICT_ROOM * large + rail.offsetHeight + 8);
    const room = Math.max(LEAST_ROOM, window.innerHeight - top - below);
    const width = wide ? frame.clientWidth - RAIL - large * Math.min(MOST_CARD, Math.max(LEAST_CARD, frame.clientWidth * CARD)) : frame.clientWidth + 2 * BLEED;
    const ratio = this.data.photo.width / this.data.photo.height;
    const fitting = (across, down) => Math.min((width - GAP * (across - 1)) / across, ((room - GAP * (down - 1)) / down) * ratio);
    const stacked = this.twin && fitting(1, 2) > fitting(2, 1);
    let w = this.twin ? Math.max(fitting(1, 2), fitting(2, 1)) : fitting(1, 1), high = w / ratio;
    const grow = Math.max(1, LEAST_SIDE / Math.min(w, high));
    if (grow > 1) [w, high] = [Math.min(w * grow, MOST_SIDE), Math.min(high * grow, MOST_SIDE)];
    this.size = [Math.floor(w), Math.floor(high)];
    stage.style.maxHeight = `${Math.max(room, LEAST_SIDE + 20)}px`;
    const across = this.twin && !stacked ? 2 * w + GAP : w;
    frame.style.setProperty("--stage", `${Math.round(Math.min(width, Math.max(LEAST_STAGE, across + MAT)))}px`);
    stage.style.flexDirection = stacked ? "column" : "row";
    stage.style.alignItems = stacked ? "center" : "flex-start";
    stage.style.justifyContent = stacked || across > width ? "flex-start" : "center";
    for (const paper of [this.paper, this.find(".twin")]) paper.style.cssText = `width:${this.size[0]}px;height:${this.size[1]}px`;
    this.find(".twin").hidden = !this.twin;
    if (stage.scrollWidth > stage.clientWidth || stage.scrollHeight > stage.clientHeight) stage.setAttribute("tabindex", "0"); // for the arrow keys
    else stage.removeAttribute("tabindex");
    this.alignPen();
    this.draw();
  }

  draw() {
    const held = this.root.activeElement?.dataset?.hold;
    this.drawRail();
    this.drawLines();
    this.drawChips();
    this.drawVerdict();
    this.drawDetails();
    this.drawHeat();
    if (held) this.root.querySelector(`[data-hold="${held}"]`)?.focus({ preventScroll: true });
  }

  drawRail() {
    const pressed = { draw: this.mode === "draw", edit: this.mode === "edit", heat: this.heatShown };
    const off = { undo: !this.data.undo, remove: !this.selected?.box, edit: !this.boxes.length };
    const buttons = TOOLS.map(([name, label, meaning]) => {
      const key = this.data.keys[name];
      return h("button", {
        class: "tool", type: "button", "data-hold": name, "data-tool": name, title: key ? `${meaning} (${key})` : meaning, "aria-label": meaning,
        "aria-pressed": name in pressed ? String(pressed[name]) : undefined, disabled: off[name], click: () => this.use(name),
      }, icon(name), label, h("kbd", {}, key ?? ""));
    });
    buttons.splice(4, 0, h("div", { class: "rule" }));
    put(this.find(".rail"), buttons);
    this.paper.dataset.mode = this.mode;
  }

  shape(mark, name) {
    const [w, high] = this.size;
    if (mark.outline) return h("polygon", { class: name, points: mark.outline.map(([x, y]) => `${x * w},${y * high}`).join(" ") });
    const [left, top, right, bottom] = mark.box;
    const [x0, y0] = [Math.max(left * w, EDGE), Math.max(top * high, EDGE)], [x1, y1] = [Math.min(right * w, w - EDGE), Math.min(bottom * high, high - EDGE)];
    return h("rect", { class: name, x: x0, y: y0, width: Math.max(1, x1 - x0), height: Math.max(1, y1 - y0), rx: 2 });
  }

  drawLines() {
    const svg = this.find(".lines"), [w, high] = this.size, chosen = this.selected;
    svg.setAttribute("viewBox", `0 0 ${w} ${high}`);
    const ordered = [...this.boxes].sort((a, b) => (a === chosen) - (b === chosen));
    const drawn = ordered.map((mark) => h("g", { class: mark === chosen ? "chosen" : "", style: `--colour:${mark.colour}`, "data-box": mark.n },
      this.shape(mark, "halo"), this.shape(mark, "shape")));
    const offer = this.pointer && !this.drag && this.offerAt(...this.pointer);
    if (offer) drawn.push(this.shape(offer, "offer"));
    if (chosen?.box && this.mode !== "look" && (this.mode === "edit" || hasMouse()))
      drawn.push(h("g", { style: `--colour:${chosen.colour}` }, chosen.outline && this.shape({ box: chosen.box }, "frame-of-box"), ...this.handles(chosen.box).map(([, x, y]) => h("circle", { class: "handle", cx: Math.min(Math.max(x * w, 6), w - 6), cy: Math.min(Math.max(y * high, 6), high - 6), r: hasMouse() ? 5 : 8 }))));
    const band = this.drag?.band ?? this.local.drawn?.box;
    if (band) drawn.push(h("g", { style: `--colour:${this.data.next}` }, this.shape({ box: band }, this.drag ? "band" : "band waiting")));
    svg.replaceChildren(...drawn);
    const grip = this.find(".grip"), held = this.mode === "edit" && chosen?.box;
    grip.hidden = !held;
    if (held) grip.style.cssText = `left:${held[0] * w - 20}px;top:${held[1] * high - 20}px;width:${(held[2] - held[0]) * w + 40}px;height:${(held[3] - held[1]) * high + 40}px`;
  }

  handles([left, top, right, bottom]) {
    const x = (left + right) / 2, y = (top + bottom) / 2;
    return [["lt", left, top], ["t", x, top], ["rt", right, top], ["r", right, y], ["rb", right, bottom], ["b", x, bottom], ["lb", left, bottom], ["l", left, y]];
  }

  /** Where what is to be seen of a box lies: a garment's outline may be much smaller than its box. */
  bounds({ box, outline }) {
    if (!outline) return box;
    const xs = outline.map(([x]) => x), ys = outline.map(([, y]) => y);
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }

  drawChips() {
    const [w, high] = this.size, taken = [];
    const chips = this.boxes.map((mark) => {
      const chip = h("button", {
        class: "chip", type: "button", "data-hold": `chip${mark.n}`, style: `--colour:${mark.colour}`, "aria-pressed": String(mark === this.selected),
        "aria-label": `${mark.name}: ${mark.short}`, pointerdown: (event) => event.stopPropagation(), click: () => this.select(mark.n),
      }, `${mark.n} ${mark.short}`);
      return [chip, mark];
    });
    put(this.find(".chips"), chips.map(([chip]) => chip));
    for (const [i, [, mark]] of chips.entries()) {
      const box = this.bounds(mark);
      const chip = this.find(".chips").children[i];
      const wide = chip.offsetWidth, tall = chip.offsetHeight;
      const left = Math.max(0, Math.min(box[0] * w, w - wide));
      const places = [box[1] * high - tall - 4, box[1] * high + 4, box[3] * high - tall - 4, box[3] * high + 4].filter((y) => y >= 0 && y + tall <= high);
      const clear = (y) => taken.every(([x0, y0, x1, y1]) => left >= x1 || left + wide <= x0 || y >= y1 || y + tall <= y0);
      const top = places.find(clear) ?? places[0] ?? 0;
      chip.style.left = `${left}px`;
      chip.style.top = `${top}px`;
      taken.push([left, top, left + wide, top + tall]);
    }
  }

  drawVerdict() {
    const mark = this.selected, dot = mark.colour && h("i", { class: "swatch", style: `--colour:${mark.colour}` });
    const level = mark.confidence && h("p", { class: "confidence", style: `--level:${mark.level}` }, mark.confidence);
    put(this.find(".verdict"), [
      h("p", { class: "name", title: mark.at }, dot, `${mark.name} · ${mark.size}`),
      h("h2", { class: mark.headline.length > LONG ? "long" : "" }, mark.headline, mark.probability && h("span", {}, mark.probability)),
      level,
      mark.line && h("p", { class: "line" }, mark.line),
      mark.note && h("p", { class: "note" }, mark.note),
    ].filter(Boolean));
  }

  get explained() { return this.hovered ?? this.local.explained ?? this.data.heat.explained ?? this.selected.label; }
  get contrast() { return this.data.heat.against && !this.hovered && this.data.heat.of === this.selected.n; }

  drawDetails() {
    const mark = this.selected, { heat } = this.data;
    const bars = h("div", { class: mark.faded ? "bars faded" : "bars", role: "group", "aria-label": "Probabilities. Each shows its heat map" },
      ...mark.bars.map((bar) => h("button", {
        class: "bar", type: "button", "data-hold": `bar-${bar.label}`, "data-class": bar.label, "aria-pressed": String(this.heatShown && bar.label === this.explained),
        pointerenter: (event) => event.pointerType === "mouse" && this.hover(bar.label), pointerleave: () => this.hover(null), click: () => this.explain(bar.label),
      }, h("span", { class: "bar-name" }, bar.name), h("span", { class: "track" }, h("i", { class: "fill", style: `width:${bar.share * 100}%;--colour:${bar.colour}` })), h("span", { class: "bar-value" }, bar.value))));
    const groups = h("div", { class: "groups" }, ...mark.groups.map(([name, colour]) => h("span", {}, h("i", { class: "swatch", style: `--colour:${colour}` }), name)));
    const others = this.marks.filter((other) => other !== mark);
    const list = others.length && h("ul", { class: "others" }, ...others.map((other) => h("li", {}, h("button", {
      class: "other", type: "button", "data-hold": `other${other.n}`, click: () => this.select(other.n),
    }, h("i", { class: "swatch", style: `--colour:${other.colour ?? "transparent"};${other.colour ? "" : "border:1px solid currentColor"}` }),
      h("span", { class: "what" }, `${other.name}: ${other.listed}`), h("span", { class: "share" }, other.probability)))));
    put(this.find(".details"), [h("div", {}, bars, mark.groups.length > 1 && groups), h("div", { class: "legend" }), heat.of === mark.n && this.curve(heat.curve), list].filter(Boolean));
  }

  /** The deletion curve: a class's probability as the hottest places are hidden. */
  curve(curve) {
    if (!curve) return null;
    const points = curve.points.map(([x, y]) => `${(x * 100).toFixed(1)} ${(50 - y * 50).toFixed(1)}`).join(" L ");
    return h("div", { class: "curve", role: "img", "aria-label": curve.alt },
      h("svg", { viewBox: "0 0 100 50", preserveAspectRatio: "none" }, h("path", { class: "area", d: `M 0 50 L ${points} L 100 50 Z` }), h("path", { class: "axis", d: "M 0 0 L 0 50 L 100 50", "vector-effect": "non-scaling-stroke" }), h("path", { d: `M ${points}`, "vector-effect": "non-scaling-stroke" })),
      h("span", {}, h("b", {}, curve.title), curve.text));
  }

  // The heat map ------------------------------------------------------------------------------------------------------------------

  drawHeat() {
    const { heat } = this.data, mark = this.selected, name = this.explained;
    const map = this.contrast ? heat.contrast : heat.of === mark.n ? heat.maps[name] : null;
    const shown = this.heatShown && Boolean(map) && !this.local.moved && !this.drag?.box;
    const [w, high] = this.size, box = mark.box ?? [0, 0, 1, 1];
    this.paper.classList.toggle("heated", this.heatShown && !this.twin && heat.view !== "Contour");
    this.find(".twin").classList.toggle("heated", true);
    for (const canvas of this.root.querySelectorAll("canvas.heat")) {
      const here = shown && this.twin === (canvas.parentElement !== this.paper);
      canvas.hidden = !here;
      if (!here) continue;
      canvas.style.cssText = `left:${box[0] * w}px;top:${box[1] * high}px;width:${(box[2] - box[0]) * w}px;height:${(box[3] - box[1]) * high}px`;
      this.paint(canvas, bytes(map), heat.size, this.contrast, (box[2] - box[0]) * w);
    }
    this.drawLegend(shown && heat.of === mark.n);
  }

  paint(canvas, values, [columns, rows], contrast, width) {
    const { heat } = this.data, colours = bytes(contrast ? heat.colours.contrast : heat.colours.heat);
    if (heat.view === "Contour") return this.paintContour(canvas, values, [columns, rows], contrast, colours, width);
    [canvas.width, canvas.height] = [columns, rows];
    const picture = new ImageData(columns, rows);
    values.forEach((value, i) => {
      picture.data.set(colours.subarray(3 * value, 3 * value + 3), 4 * i);
      picture.data[4 * i + 3] = (contrast ? Math.abs(2 * value - 255) : value) * heat.opacity;
    });
    canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  paintContour(canvas, values, [columns, rows], contrast, colours, width) {
    const fineness = Math.min(SMOOTH, Math.max(1, width / columns)); // a pixel is one of the window, so that lines keep their width
    const [w, high] = [Math.round(columns * fineness), Math.round(rows * fineness)], draw = canvas.getContext("2d", { willReadFrequently: true });
    const small = new OffscreenCanvas(columns, rows), grey = new ImageData(columns, rows);
    values.forEach((value, i) => grey.data.set([value, value, value, 255], 4 * i));
    small.getContext("2d").putImageData(grey, 0, 0);
    [canvas.width, canvas.height] = [w, high];
    draw.imageSmoothingQuality = "high";
    draw.drawImage(small, 0, 0, w, high);
    const fine = draw.getImageData(0, 0, w, high).data;
    const levels = contrast ? LEVELS.flatMap((level) => [(1 - level) / 2, (1 + level) / 2]) : LEVELS;
    const band = (i) => levels.reduce((sum, level) => sum + (fine[4 * i] > 255 * level), 0);
    draw.clearRect(0, 0, w, high);
    draw.globalAlpha = this.data.heat.opacity;
    const edges = [];
    for (let y = 0; y < high - 1; y += 1)
      for (let x = 0; x < w - 1; x += 1) {
        const i = y * w + x;
        if (band(i) !== band(i + 1) || band(i) !== band(i + w)) edges.push([x, y, fine[4 * i]]);
      }
    draw.fillStyle = RIM;
    for (const [x, y] of edges) draw.fillRect(x - 2, y - 2, 5, 5);
    draw.globalAlpha = 1;
    for (const [x, y, value] of edges) {
      draw.fillStyle = `rgb(${colours.subarray(3 * value, 3 * value + 3).join(" ")})`;
      draw.fillRect(x - 1, y - 1, 3, 3);
    }
  }

  drawLegend(shown) {
    const legend = this.find(".legend"), { heat } = this.data;
    legend.hidden = !this.heatShown;
    if (!shown) return;
    const name = heat.names[this.explained] ?? this.explained;
    const colours = bytes(this.contrast ? heat.colours.contrast : heat.colours.heat);
    const stops = Array.from({ length: 16 }, (_, i) => `rgb(${colours.subarray(51 * i, 51 * i + 3).join(" ")})`).join(",");
    const [low, high] = this.contrast ? [heat.names[heat.against], name] : ["low", "high"];
    const meaning = this.contrast ? `Evidence for ${name} (blue) against ${low} (red)` : heat.blank.includes(this.explained) ? `No evidence for ${name} here` : `Evidence for ${name}`;
    legend.replaceChildren(h("p", {}, meaning), h("div", { class: "scale" }, h("span", {}, low), h("i", { style: `background:linear-gradient(to right, ${stops})` }), h("span", {}, high)));
  }

  hover(name) {
    if (name === this.hovered) return;
    this.hovered = name;
    this.drawHeat();
    for (const bar of this.root.querySelectorAll(".bar")) bar.setAttribute("aria-pressed", String(this.heatShown && bar.dataset.class === this.explained));
  }

  explain(name) {
    this.local.explained = name;
    this.act("explain", { name: name === this.selected.label ? null : name });
  }

  // What the visitor does ---------------------------------------------------------------------------------------------------------

  act(what, rest = {}) {
    const id = Math.max(Date.now(), (this.acts.at(-1)?.id ?? 0) + 1);
    this.acts = [...this.acts, { id, do: what, photo: this.data.photo.id, ...rest }].slice(-30);
    this.send("acts", this.acts);
    this.draw();
  }

  use(name) {
    if (name === "draw" || name === "edit") {
      this.mode = this.mode === name ? "look" : name;
      if (name === "edit" && this.mode === "edit" && !this.selected.box && this.boxes.length) this.select(this.boxes.at(-1).n);
      this.draw();
    } else if (name === "heat") {
      this.local.heat = !this.heatShown;
      this.layout();
      this.act("heat", { shown: this.local.heat });
    } else if (name === "remove") {
      if (!this.selected.box) return;
      const { n } = this.selected;
      this.local = { removed: n, selected: this.boxes.filter((box) => box.n !== n).at(-1)?.n ?? 0 };
      this.act("remove", { number: n });
    } else if (name === "answer") {
      const verdict = this.find(".verdict");
      verdict.focus({ preventScroll: true });
      verdict.scrollIntoView({ block: "nearest", behavior: "smooth" });
    } else if (name === "escape") {
      if (this.drag) this.cancel();
      else if (this.selected.box) this.select(0);
    } else this.act(name);
  }

  select(number) {
    this.local.selected = number;
    this.hover(null);
    this.act("select", { number });
  }

  key(event) {
    const target = event.composedPath()[0];
    if (!this.data || event.defaultPrevented || event.altKey || target.closest?.(TYPING) || document.querySelector("[role=dialog]")) return;
    const undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
    if ((event.ctrlKey || event.metaKey) && !undo) return;
    const name = undo ? "undo" : this.data.pressed[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (target.closest?.(CHOOSING) && (event.key === "Enter" || event.key.startsWith("Arrow"))) return;
    if (!name || (name === "answer" && target.closest?.("button, a, [role=button], summary"))) return;
    event.preventDefault();
    if (name === "undo" && !this.data.undo) return;
    this.use(name);
  }

  place(event) {
    const area = this.paper.getBoundingClientRect();
    return [clamp((event.clientX - area.left) / area.width), clamp((event.clientY - area.top) / area.height)];
  }

  point(place) {
    this.pointer = place;
    if (!this.drag && this.data?.offers.length) this.drawLines();
  }

  contains(shape, x, y) {
    const [left, top, right, bottom] = shape.box;
    if (x < left || x > right || y < top || y > bottom) return false;
    if (!shape.outline) return true;
    let inside = false;
    shape.outline.forEach(([x1, y1], i) => {
      const [x2, y2] = shape.outline.at(i - 1);
      if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
    });
    return inside;
  }

  offerAt(x, y) { return this.data.offers.find((offer) => this.contains(offer, x, y)); }

  handleAt(event, [x, y]) {
    const box = this.selected?.box, [w, high] = this.size, reach = REACH[event.pointerType] ?? REACH.mouse;
    if (!box || this.mode === "look" || (this.mode === "draw" && event.pointerType === "touch")) return null;
    return this.handles(box).find(([, hx, hy]) => Math.hypot((hx - x) * w, (hy - y) * high) <= reach)?.[0] ?? null;
  }

  boxAt(x, y) {
    const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
    const hit = this.boxes.filter((mark) => this.contains(mark, x, y)).sort((a, b) => area(a) - area(b));
    return hit;
  }

  press(event) {
    if (event.button !== 0 || !event.isPrimary || !this.data) return;
    const at = this.place(event), handle = this.handleAt(event, at);
    const hit = this.mode === "edit" ? this.boxAt(...at) : [];
    const moved = hit.find((mark) => mark === this.selected) ?? hit[0];
    this.drag = { start: at, from: [event.clientX, event.clientY], pointer: event.pointerId, far: false };
    if (handle) Object.assign(this.drag, { handle, n: this.selected.n, box: this.selected.box });
    else if (moved) Object.assign(this.drag, { handle: "", n: moved.n, box: moved.box });
    else if (this.mode === "draw") this.drag.pen = this.pen();
    if (!this.drag.box && !this.drag.pen) return;
    if (this.drag.box && this.drag.n !== this.selected.n) this.local.selected = this.drag.n;
    event.preventDefault(); // else the browser's own mouse events reach the canvas as well
    this.root.activeElement?.blur?.();
    this.paper.setPointerCapture(event.pointerId);
    if (this.drag.pen) this.play("mousedown", at);
  }

  move(event) {
    const at = this.place(event);
    if (!this.drag || event.pointerId !== this.drag.pointer) {
      if (event.pointerType === "mouse") this.point(at);
      return;
    }
    const { drag } = this;
    drag.far ||= Math.hypot(event.clientX - drag.from[0], event.clientY - drag.from[1]) >= STRAY;
    if (!drag.far) return;
    if (drag.pen) {
      drag.band = [Math.min(drag.start[0], at[0]), Math.min(drag.start[1], at[1]), Math.max(drag.start[0], at[0]), Math.max(drag.start[1], at[1])];
      this.drawLines();
    } else if (drag.box) {
      this.local.moved = { n: drag.n, box: this.dragged(drag, at) };
      this.drawLines();
      this.drawChips();
      this.find("canvas.heat").hidden = true;
    }
  }

  dragged({ handle, box, start }, at) {
    const by = [at[0] - start[0], at[1] - start[1]], least = [LEAST_BOX / this.size[0], LEAST_BOX / this.size[1]];
    let [left, top, right, bottom] = box;
    if (!handle) {
      const dx = Math.min(1 - right, Math.max(-left, by[0])), dy = Math.min(1 - bottom, Math.max(-top, by[1]));
      return [left + dx, top + dy, right + dx, bottom + dy];
    }
    if (handle.includes("l")) left = Math.min(clamp(left + by[0]), right - least[0]);
    if (handle.includes("r")) right = Math.max(clamp(right + by[0]), left + least[0]);
    if (handle.includes("t")) top = Math.min(clamp(top + by[1]), bottom - least[1]);
    if (handle.includes("b")) bottom = Math.max(clamp(bottom + by[1]), top + least[1]);
    return [left, top, right, bottom];
  }

  release(event) {
    const { drag } = this;
    if (!drag || event.pointerId !== drag.pointer) return;
    const at = this.place(event);
    this.drag = null;
    if (drag.pen) {
      if (drag.far) this.play("mousemove", at); // only now: a drag that passes its start and comes back leaves the canvas's rectangle displaced
      this.play("mouseup", drag.far ? at : drag.start);
    }
    if (!drag.far) return this.tap(at);
    if (drag.pen) {
      this.local.drawn = { box: drag.band, before: this.data.drawn };
      setTimeout(() => within(document.querySelector(".st-key-pen"), `button[aria-label="${this.data.submit}"]`)?.click());
      this.draw();
    } else if (drag.box) {
      this.local.selected = drag.n;
      this.act("move", { number: drag.n, box: this.local.moved.box });
    }
  }

  cancel() {
    if (this.drag?.pen) this.play("mouseup", this.drag.start);
    this.drag = null;
    delete this.local.moved;
    if (this.data) this.draw();
  }

  /** A click or tap: the smallest box there, the next one at the next tap; where there is none, a garment that Python may find there. */
  tap([x, y]) {
    const hit = this.boxAt(x, y);
    if (hit.length) {
      const next = hit[(hit.indexOf(this.selected) + 1) % hit.length];
      return this.select(next.n);
    }
    this.local.selected = this.offerAt(x, y) ? undefined : 0;
    this.act("point", { x, y });
  }

  // The canvas --------------------------------------------------------------------------------------------------------------------

  pen() { return within(document.querySelector(".st-key-pen"), "canvas.upper-canvas"); }

  /** Lay the canvas over the photo: it is drawn at a size of its own, whatever the window's. */
  alignPen() {
    const holder = document.querySelector(".st-key-pen"), stage = holder?.closest(".st-key-stage"), canvas = this.pen();
    if (!canvas) {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.alignPen(), 50);
      return;
    }
    const inner = holder.firstElementChild, area = this.paper.getBoundingClientRect(), around = stage.getBoundingClientRect();
    holder.style.cssText = `position:absolute;overflow:hidden;pointer-events:none;left:${area.left - around.left}px;top:${area.top - around.top}px;width:${this.size[0]}px;height:${this.size[1]}px`;
    inner.style.cssText = `width:${canvas.width}px;transform-origin:0 0;transform:scale(${this.size[0] / canvas.width},${this.size[1] / canvas.height})`;
  }

  play(type, [x, y]) {
    const canvas = this.drag?.pen ?? this.pen(), area = canvas.getBoundingClientRect();
    const event = new MouseEvent(type, {
      clientX: area.left + x * area.width, clientY: area.top + y * area.height, buttons: type === "mouseup" ? 0 : 1, bubbles: true, cancelable: true, composed: true,
    });
    (type === "mousedown" ? canvas : document).dispatchEvent(event);
  }
}

const VIEWERS = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  let viewer = VIEWERS.get(parentElement);
  if (!viewer) VIEWERS.set(parentElement, (viewer = new Viewer(parentElement)));
  viewer.show(data, setStateValue);
  return () => {
    viewer.end();
    VIEWERS.delete(parentElement);
  };
}
