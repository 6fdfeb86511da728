// Controls beside the picture: small makers of elements.

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function section(title, open, ...children) {
  return make("details", { open }, make("summary", {}, title), ...children);
}

function checkbox(text, checked, change) {
  const box = make("input", { type: "checkbox", checked });
  box.addEventListener("change", () => change(box.checked));
  return make("label", { className: "row" }, box, text);
}

/** A slider from low to high; `words(value)` stands beside it. */
function slider(text, [low, high, step], value, words, change) {
  const input = make("input", { type: "range", min: low, max: high, step, value });
  const output = make("output", {}, words(value));
  input.setAttribute("aria-label", text);
  input.addEventListener("input", () => {
    output.textContent = words(Number(input.value));
    change(Number(input.value));
  });
  return make("div", { className: "slider" }, make("span", {}, text, output), input);
}

function button(text, act) {
  const element = make("button", { type: "button" }, text);
  element.addEventListener("click", act);
  return element;
}

function select(text, options, change) {
  const list = make("select", {}, ...options.map((name, value) => make("option", { value }, name)));
  list.addEventListener("change", () => change(Number(list.value)));
  return make("label", { className: "row" }, text, list);
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
