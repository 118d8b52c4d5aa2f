"use strict";
// Draws the figures of the report. Strings of the data reach the page as text, never as markup.
(() => {
  const figures = JSON.parse(document.getElementById("report-data").textContent);
  const options = { displayModeBar: false, responsive: true, scrollZoom: false };
  const coarse = matchMedia("(pointer: coarse)").matches;
  const drawn = new Set();
  const labels = document.getElementById("labels");
  if (labels && innerWidth < 700) labels.checked = false; // no room

  // --- theme: colors written as "--name" are CSS variables -------------------------------------------------
  const isName = (value) => typeof value === "string" && value.startsWith("--");
  function themed(value, key = "") {
    if (/color(scale)?$/.test(key) && isName(value)) {
      return getComputedStyle(document.documentElement).getPropertyValue(value).trim();
    }
    if (Array.isArray(value)) return key === "colorscale" ? value.map(([at, c]) => [at, themed(c, "color")]) : keepOrMap(value);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, themed(inner, name)]));
    }
    return value;
  }
  const keepOrMap = (list) => (list.length && typeof list[0] === "object" ? list.map((item) => themed(item)) : list);
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // --- curves ------------------------------------------------------------------------------------------------
  function smoothed(values) {
    const keep = 1 - 1 / Math.max(2, values.length / 40); // a fortieth of the run
    let mean = 0, weight = 0;
    return values.map((value) => {
      if (value === null) return null;
      mean = keep * mean + (1 - keep) * value;
      weight = keep * weight + (1 - keep);
      return mean / weight; // without this the curve would start at zero
    });
  }
  function curveData(figure) {
    const traces = figure.data;
    if (!figure.smooth || !document.getElementById("smooth").checked) return traces;
    const raw = traces.map((trace) => ({ ...trace, opacity: 0.22, showlegend: false, hoverinfo: "skip", hovertemplate: null, line: { ...trace.line, width: 1 } }));
    return [...raw, ...traces.map((trace) => ({ ...trace, mode: "lines", y: smoothed(trace.y), line: { ...trace.line, width: 2.2 } }))];
  }

  // --- clouds: a scene is made when it comes into view --------------------------------------------------------
  const hasWebGL = (() => {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("webgl");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    return Boolean(context);
  })();
  function sceneColor(figure) {
    const byPart = document.querySelector('input[name="scene-color"][value="part"]')?.checked;
    if (byPart && figure.part) return figure.part.map((part) => (part < 0 ? color("--muted") : figure.part_colors[part]));
    return figure.z;
  }
  function sceneData(figure) {
    const scale = [[0, "#3f63c8"], [0.5, "#1fa39a"], [1, "#e5a93c"]];
    const labels = figure.part?.map((part) => (part < 0 ? "no part" : figure.parts[part]).replaceAll("&", "&amp;").replaceAll("<", "&lt;"));
    return [{
      type: "scatter3d", mode: "markers", x: figure.x, y: figure.y, z: figure.z,
      text: labels, hoverinfo: labels ? "text" : "skip",
      marker: { size: 2.4, color: sceneColor(figure), colorscale: scale, line: { width: 0 } },
    }];
  }
  function sceneLayout() {
    const none = { visible: false, range: [-1, 1] };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, uirevision: "keep",
      scene: {
        xaxis: none, yaxis: none, zaxis: none, aspectmode: "cube", dragmode: "turntable",
        camera: { eye: { x: 0.95, y: -1.2, z: 0.6 }, center: { x: 0, y: 0, z: 0 }, projection: { type: "perspective" } },
      },
    };
  }

  // --- drawing -------------------------------------------------------------------------------------------------
  function draw(id) {
    const figure = figures[id], box = document.getElementById(id);
    if (figure.kind === "scene") {
      if (!hasWebGL) return Promise.resolve(); // the image stays
      if (!drawn.has(id)) box.replaceChildren();
      drawn.add(id);
      return Plotly.react(box, sceneData(figure), sceneLayout(), options);
    }
    drawn.add(id);
    const layout = themed(figure.layout);
    if (coarse) layout.dragmode = false; // a finger scrolls the page
    if (figure.kind === "map" && labels && !labels.checked) layout.annotations = [];
    const data = themed(figure.kind === "curves" ? curveData(figure) : figure.data);
    return Plotly.react(box, data.map((trace, index) => emphasised(figure, trace, index)), layout, options);
  }
  const redraw = () => drawn.forEach(draw);

  // --- the map: an image beside the cursor, and classes to pick ------------------------------------------------
  let picked = -1;
  function emphasised(figure, trace, index) {
    if (figure.kind !== "map" || picked < 0) return trace;
    return { ...trace, marker: { ...trace.marker, opacity: index === picked ? 1 : 0.1, size: index === picked ? 10 : 6 } };
  }
  const card = document.getElementById("hover-card");
  function showCard(figure, index, x, y) {
    const image = document.createElement("img"), name = document.createElement("div"), id = document.createElement("small");
    image.src = figure.thumbs[index];
    image.alt = "";
    name.textContent = figure.names[index];
    id.textContent = figure.ids[index];
    card.replaceChildren(image, name, id);
    card.hidden = false;
    const width = card.offsetWidth, height = card.offsetHeight;
    card.style.left = `${Math.max(8, x + 18 + width > innerWidth ? x - width - 18 : x + 18)}px`;
    card.style.top = `${Math.min(Math.max(8, y - height / 2), innerHeight - height - 8)}px`;
  }
  function bindMap() {
    const box = document.getElementById("map-plot"), figure = figures["map-plot"];
    if (!figure) return;
    box.on("plotly_hover", (hit) => showCard(figure, hit.points[0].customdata, hit.event.clientX, hit.event.clientY));
    box.on("plotly_unhover", () => { card.hidden = true; });
    addEventListener("scroll", () => { card.hidden = true; }, { passive: true });
    const chips = [...document.querySelectorAll(".chips button")];
    chips.forEach((chip) => chip.addEventListener("click", () => {
      picked = picked === Number(chip.dataset.class) ? -1 : Number(chip.dataset.class);
      chips.forEach((other) => other.setAttribute("aria-pressed", String(Number(other.dataset.class) === picked)));
      draw("map-plot");
    }));
  }

  // --- start -----------------------------------------------------------------------------------------------------
  const ids = Object.keys(figures);
  const ready = Promise.all(ids.filter((id) => figures[id].kind !== "scene").map(draw)).then(bindMap);
  const near = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    near.unobserve(entry.target);
    draw(entry.target.id);
  }), { rootMargin: "120px" });
  ids.filter((id) => figures[id].kind === "scene").forEach((id) => near.observe(document.getElementById(id)));
  document.getElementById("smooth")?.addEventListener("change", () => ids.filter((id) => figures[id].smooth).forEach(draw));
  document.querySelectorAll('input[name="scene-color"]').forEach((input) => input.addEventListener("change", () => {
    drawn.forEach((id) => figures[id].kind === "scene" && draw(id));
  }));
  labels?.addEventListener("change", () => draw("map-plot"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; redraw(); });
  addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; redraw(); });

  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const spy = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    links.forEach((link) => link.removeAttribute("aria-current"));
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }), { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main section").forEach((section) => spy.observe(section));
  ready.then(() => document.documentElement.setAttribute("data-ready", ""));
})();
