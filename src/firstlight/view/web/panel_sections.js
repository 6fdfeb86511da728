// What stands in the panel.

function buildPanel(app) {
  const panel = document.querySelector("aside"), { state, show, filter } = app;
  const redraw = () => app.moved(false);
  const set = (object, key) => (value) => {
    object[key] = value;
    redraw();
  };
  const hex = `#${show.background.map((c) => Math.round(255 * c).toString(16).padStart(2, "0")).join("")}`;
  const colour = make("input", { type: "color", value: hex });
  colour.addEventListener("input", () => {
    show.background = [1, 3, 5].map((i) => parseInt(colour.value.slice(i, i + 2), 16) / 255);
    redraw();
  });
  const percent = (value) => `${Math.round(100 * value)} %`;
  panel.replaceChildren(
    make("div", { id: "words" }),
    section("Show", true,
      checkbox("Splats", show.splats, set(show, "splats")),
      ...(state.points ? [checkbox("Points", show.points, set(show, "points"))] : []),
      ...(state.cameras.length ? [checkbox("Cameras", show.cameras, set(show, "cameras"))] : []),
      make("label", { className: "row" }, "Background", colour),
      slider("Opacity from", [0, 1, 0.01], filter.minOpacity, percent, set(filter, "minOpacity")),
      slider("Smallest", [0, 1, 0.01], filter.smallest, (share) => sizeWords(app, share), set(filter, "smallest")),
      slider("Largest", [0, 1, 0.01], filter.largest, (share) => sizeWords(app, share), set(filter, "largest")),
      slider("Draw at", [0.05, 2, 0.05], filter.growth, percent, set(filter, "growth"))),
    section("View", true, ...viewControls(app)),
    section("Measure", false, ...measureControls(app)),
    section("Crop", false, ...cropControls(app, redraw)),
    section("Save", true, ...saveControls(app)),
    section("Help", false, ...HELP.map((text) => make("p", {}, text))),
  );
  describe(app);
}

function viewControls(app) {
  const parts = [button("Reset view", () => app.reset())], { cameras } = app.state;
  if (app.panes.length > 1) {
    parts.push(checkbox("Move together", app.linked, (on) => {
      app.linked = on;
      if (on) app.share(app.panes[0]);
    }));
  }
  if (!cameras.length) return parts;
  const places = select("Go to", ["–", ...cameras.map((camera) => camera.name)], (i) => app.goTo(i - 1));
  places.id = "places";
  parts.push(places);
  if (cameras.length > 1) {
    const { flight } = app, along = make("input", { type: "range", min: 0, max: cameras.length - 1, step: "any" });
    flight.button = button("Fly along", () => app.startFlight());
    flight.slider = along;
    along.value = flight.t;
    along.setAttribute("aria-label", "Place on the captured path");
    along.addEventListener("input", () => {
      app.stopFlight();
      app.standIn(-1);
      flight.t = Number(along.value);
      app.stand(between(app.cameras, flight.t));
    });
    parts.push(make("div", { className: "row" }, flight.button, along));
  }
  parts.push(make("img", { id: "photo", hidden: true }));
  return parts;
}

function measureControls(app) {
  const box = checkbox("Click two points", app.measured.on, (on) => {
    app.measured = { on, pane: null, points: [] };
    describeMeasure(app);
    app.moved(false);
  });
  return [box, make("output", { id: "distance" })];
}

function cropControls(app, redraw) {
  const { crop } = app, numbers = make("output", { id: "crop-box" });
  const tell = () => {
    const [low, high] = app.box().map((corner) => app.link.toScene(corner));
    numbers.textContent = crop.on && app.bounds ? [...low, ...high].map((x) => x.toPrecision(4)).join(",") : "";
    redraw();
  };
  const sliders = ["X", "Y", "Z"].flatMap((name, axis) => ["low", "high"].map((side) =>
    slider(`${name} ${side === "low" ? "from" : "to"}`, [0, 1, 1 / BOX_STEPS], crop[side][axis],
      (share) => `${Math.round(100 * share)} %`, (value) => {
        crop[side][axis] = value;
        tell();
      })));
  const box = checkbox("Hide what is outside the box", crop.on, (on) => {
    crop.on = on;
    tell();
  });
  return [box, ...sliders, numbers];
}

function saveControls(app) {
  const text = make("input", { id: "view-text", readOnly: true, hidden: true });
  text.setAttribute("aria-label", "View link");
  const copy = async (what) => {
    text.value = what;
    text.hidden = false;
    text.select();
    try {
      await navigator.clipboard.writeText(what);
      say("Copied.");
      setTimeout(() => say(""), 1500);
    } catch { /* the text is selected: Ctrl-C works without a permission */ }
  };
  const picture = button("Save picture", async () => {
    picture.disabled = true;
    await app.savePictures().catch((error) => say(error.message));
    picture.disabled = false;
  });
  return [
    picture, button("Copy link", () => copy(app.address())), button("Copy view", () => copy(app.viewText())), text,
  ];
}

function sizeWords(app, share) {
  const scene = app.panes[0] && app.panes[0].scene;
  if (!scene) return `${Math.round(100 * share)} %`;
  const [low, high] = scene.ranges.log_scale;
  return Number((Math.exp(low + share * (high - low)) / app.link.scale).toPrecision(2)).toString();
}

/** How many Gaussians and what is known about them. */
function describe(app) {
  const words = document.querySelector("#words");
  words.replaceChildren(...app.panes.flatMap((pane, i) => {
    const { title, text } = app.state.scenes[i], { scene } = pane;
    const many = scene && `${scene.count.toLocaleString("en")} ${scene.count === 1 ? "Gaussian" : "Gaussians"}`;
    const count = many || "Waiting for the first Gaussians";
    return [make("h1", {}, title), make("p", {}, count), ...(text ? [make("p", {}, text)] : [])];
  }));
}

function describeMeasure(app) {
  const { points, missed } = app.measured;
  const next = points.length === 1 ? "Click the other end." : app.measured.on ? "Click a point." : "";
  document.querySelector("#distance").textContent = missed ? "Nothing solid there." : app.distanceText() || next;
}

/** Show in the list of cameras in which of them the eye is. */
function chosen(index) {
  const list = document.querySelector("#places select");
  if (list) list.value = index + 1;
}

/** The photo of the camera where the eye stands, where there is a server that has it. */
function photo(app, index) {
  const image = document.querySelector("#photo");
  if (!image) return;
  image.hidden = index < 0 || !app.state.photos;
  if (image.hidden) return;
  image.alt = app.state.cameras[index].name;
  image.onerror = () => (image.hidden = true); // moved or removed since
  image.src = `photo/${index}`;
}
