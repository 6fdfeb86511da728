"use strict";
document.documentElement.classList.add("js");

// The stage: one photo, large, with a slider between two of its pictures.
(() => {
  const stage = document.querySelector(".stage");
  const articles = [...document.querySelectorAll("article")];
  if (!stage || !articles.length) return;
  const frame = stage.querySelector(".frame");
  const range = stage.querySelector("input[type=range]");
  const now = stage.querySelector(".now");
  const thumbnails = [...document.querySelectorAll(".film button")];
  const titles = { photo: "Photo", render: "Render", error: "Error" };
  let place = 0;

  const picture = (kind) => articles[place].querySelector(`img[data-kind=${kind}]`);
  const put = (where, side, kind) => {
    const source = picture(kind);
    const image = stage.querySelector(where);
    image.hidden = !source;
    if (source) { image.src = source.src; image.alt = source.alt; }
    stage.querySelector(side).textContent = source ? titles[kind] : `${titles[kind]}: missing`;
    return source;
  };
  const draw = () => {
    const [left, right] = stage.querySelector("input[name=pair]:checked").value.split(" ");
    const first = put(".over", ".tag.left", left);
    const second = put(".under", ".tag.right", right);
    const size = first || second;
    if (size) frame.style.setProperty("--ratio", size.getAttribute("width") / size.getAttribute("height"));
    const name = document.createElement("b");
    name.textContent = articles[place].dataset.name;
    now.replaceChildren(name, ` PSNR ${articles[place].dataset.psnr} dB`);
    thumbnails.forEach((button, i) => i === place ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current"));
  };
  const show = (next) => {
    place = (next + articles.length) % articles.length;
    draw();
    const button = thumbnails[place];
    if (button) button.parentElement.scrollTo({ left: button.offsetLeft - button.parentElement.offsetLeft - 80, behavior: "smooth" });
  };
  const cut = () => {
    frame.style.setProperty("--cut", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${Math.round(range.value)} % of the left picture`);
  };
  const drag = (event) => {
    const box = frame.getBoundingClientRect();
    range.value = 100 * (event.clientX - box.left) / box.width;
    cut();
  };
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    drag(event);
    range.focus({ preventScroll: true });
    event.preventDefault();
  });
  frame.addEventListener("pointermove", (event) => { if (frame.hasPointerCapture(event.pointerId)) drag(event); });
  range.addEventListener("input", cut);
  stage.querySelectorAll("input[name=pair]").forEach((input) => input.addEventListener("change", draw));
  stage.querySelectorAll(".step").forEach((button) => button.addEventListener("click", () => show(place + Number(button.dataset.by))));
  thumbnails.forEach((button, i) => button.addEventListener("click", () => show(i)));
  articles.forEach((article, i) => article.querySelectorAll("img").forEach((image) => image.addEventListener("click", () => {
    show(i);
    stage.scrollIntoView({ block: "center" });
  })));
  stage.hidden = false;
  cut();
  show(0);
})();

// Charts: what a curve says where the pointer is.
document.querySelectorAll(".chart svg").forEach((svg) => {
  const line = svg.querySelector(".mean");
  const output = svg.closest("figure").querySelector("output");
  const atRest = output.textContent;
  const spots = [...line.points].map((p) => [p.x, p.y]);
  const { x: unitX, unit } = svg.dataset;
  const [x0, x1, y0, y1, left, right, top, bottom] =
    ["x0", "x1", "y0", "y1", "left", "right", "top", "bottom"].map((key) => Number(svg.dataset[key]));
  const cursor = document.createElementNS(svg.namespaceURI, "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", top);
  cursor.setAttribute("y2", bottom);
  const short = (value) => Number(value.toPrecision(4)).toLocaleString("en");
  svg.addEventListener("pointermove", (event) => {
    const at = (event.clientX - svg.getBoundingClientRect().left) / svg.getBoundingClientRect().width * svg.viewBox.baseVal.width;
    const [x, y] = spots.reduce((best, spot) => Math.abs(spot[0] - at) < Math.abs(best[0] - at) ? spot : best);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    svg.append(cursor);
    const valueX = x0 + (x - left) / (right - left) * (x1 - x0);
    const valueY = y0 + (bottom - y) / (bottom - top) * (y1 - y0);
    output.textContent = `${short(valueY)}${unit} at ${Math.round(valueX).toLocaleString("en")} ${unitX}`;
  });
  svg.addEventListener("pointerleave", () => { cursor.remove(); output.textContent = atRest; });
});
