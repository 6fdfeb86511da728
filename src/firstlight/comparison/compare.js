"use strict";
document.documentElement.classList.add("js");

// Colours: the page's policy allows no inline styles, so elements say theirs in an attribute.
document.querySelectorAll("[data-color]").forEach((item) => item.style.setProperty("--own", item.dataset.color));

// The legend hides a recipe everywhere.
document.querySelectorAll(".legend input").forEach((box) => box.addEventListener("change", () => {
  document.querySelectorAll("section [data-recipe]").forEach((item) => {
    if (item.dataset.recipe !== box.dataset.recipe) return;
    if (item instanceof SVGElement) item.style.display = box.checked ? "" : "none";
    else item.hidden = !box.checked;
  });
}));

// Side by side: one photo at a time; zoom and place are shared by all pictures of the page.
const view = { scale: 1, x: 0, y: 0 }; // x and y: how far the picture's corner lies outside, in window widths and heights
const place = () => {
  const most = 1 - view.scale;
  view.x = Math.min(0, Math.max(most, view.x));
  view.y = Math.min(0, Math.max(most, view.y));
  const move = `translate(${100 * view.x}%, ${100 * view.y}%) scale(${view.scale})`;
  document.documentElement.style.setProperty("--move", move);
};
const zoom = (box, clientX, clientY, factor) => {
  const next = Math.min(16, Math.max(1, view.scale * factor));
  const [u, v] = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  view.x = u - (u - view.x) * next / view.scale;
  view.y = v - (v - view.y) * next / view.scale;
  view.scale = next;
  place();
};
document.querySelectorAll(".window").forEach((frame) => {
  const fingers = new Map();
  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(frame.getBoundingClientRect(), event.clientX, event.clientY, Math.exp(-event.deltaY / 300));
  }, { passive: false });
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    event.preventDefault();
  });
  frame.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const box = frame.getBoundingClientRect();
    if (fingers.size === 1) {
      view.x += (event.clientX - before.clientX) / box.width;
      view.y += (event.clientY - before.clientY) / box.height;
      place();
    } else {
      const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const apart = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY) || 1;
      zoom(box, (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2, apart(event) / apart(before));
    }
    fingers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, (event) => fingers.delete(event.pointerId));
  frame.addEventListener("dblclick", () => { Object.assign(view, { scale: 1, x: 0, y: 0 }); place(); });
});
document.querySelectorAll(".side-by-side").forEach((block) => {
  const buttons = [...block.querySelectorAll(".choice button")];
  const show = (which) => {
    block.querySelectorAll(".tiles-grid").forEach((grid) => { grid.hidden = grid.dataset.place !== which; });
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.place === which)));
  };
  buttons.forEach((button) => button.addEventListener("click", () => show(button.dataset.place)));
  block.querySelectorAll("input[type=radio]").forEach((input) => input.addEventListener("change", () => {
    block.classList.toggle("errors", block.querySelector("input:checked").value === "error");
  }));
  show("0");
});
