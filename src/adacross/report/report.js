"use strict";
// What the report does beyond showing itself. Strings of the data reach the page as text, never as markup.
(() => {
  const root = document.documentElement;
  root.setAttribute("data-script", "");
  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const data = JSON.parse(document.getElementById("report-data").textContent);

  // --- a card beside the pointer: a shape of the map, or values of a curve --------------------------------------
  const card = document.getElementById("hover-card");
  function show(x, y, ...children) {
    card.replaceChildren(...children);
    card.hidden = false;
    const width = card.offsetWidth, height = card.offsetHeight;
    card.style.left = `${Math.max(8, x + 18 + width > innerWidth ? x - width - 18 : x + 18)}px`;
    card.style.top = `${Math.min(Math.max(8, y - height / 2), innerHeight - height - 8)}px`;
  }
  const hide = () => { card.hidden = true; };
  addEventListener("scroll", hide, { passive: true });
  const element = (name, text, properties = {}) => Object.assign(document.createElement(name), { textContent: text }, properties);

  // --- curves: values under the pointer --------------------------------------------------------------------------
  document.getElementById("smooth")?.addEventListener("change", (event) => root.toggleAttribute("data-raw", !event.target.checked));
  document.querySelectorAll("svg[data-window]").forEach((plot) => {
    const [left, right, low, high] = plot.dataset.window.split(" ").map(Number);
    const written = (y) => {
      const value = low + (1 - y / 1000) * (high - low), shown = "log" in plot.dataset ? 10 ** value : value;
      return "share" in plot.dataset ? `${(100 * shown).toFixed(1)} %` : String(Number(shown.toPrecision(4)));
    };
    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect(), at = 1000 * (event.clientX - box.left) / box.width;
      let step = 0;
      const lines = [...plot.querySelectorAll("g")].map((group) => {
        const path = group.querySelector(root.hasAttribute("data-raw") && group.querySelector(".raw") ? ".raw" : ".curve");
        const points = path.getAttribute("d").slice(1).split("L").map((pair) => pair.split(" ").map(Number));
        const [x, y] = points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));
        step = left + x / 1000 * (right - left);
        const line = element("div", `${group.dataset.name}: ${written(y)}`);
        line.className = group.getAttribute("class");
        return line;
      });
      show(event.clientX, event.clientY, element("small", String(Number(step.toPrecision(4)))), ...lines);
    });
    plot.addEventListener("pointerleave", hide);
  });

  // --- the map: an image beside the pointer, and classes to pick -------------------------------------------------
  const map = document.querySelector("#map-plot svg"), labels = document.getElementById("labels");
  if (map) {
    map.querySelectorAll("title").forEach((title) => title.remove()); // the card says more
    const dots = [...map.querySelectorAll("use")].map((dot) => ["x", "y"].map((name) => parseFloat(dot.getAttribute(name))).concat(Number(dot.dataset.i)));
    const look = (event) => {
      const box = map.getBoundingClientRect();
      const distance = ([x, y]) => Math.hypot(box.left + x / 100 * box.width - event.clientX, box.top + y / 100 * box.height - event.clientY);
      const best = dots.reduce((one, other) => (distance(other) < distance(one) ? other : one));
      if (distance(best) > 14) return hide();
      const index = best[2];
      return show(event.clientX, event.clientY, element("img", "", { src: data.map.images[index], alt: "" }),
        element("div", data.map.names[index]), element("small", data.map.ids[index]));
    };
    map.addEventListener("pointermove", look);
    map.addEventListener("pointerdown", look);
    map.addEventListener("pointerleave", hide);
    const groups = [...map.querySelectorAll(".group")], chips = [...document.querySelectorAll(".chips button")];
    let picked = -1;
    chips.forEach((chip, number) => chip.addEventListener("click", () => {
      picked = picked === number ? -1 : number;
      chips.forEach((other, index) => other.setAttribute("aria-pressed", String(index === picked)));
      groups.forEach((group, index) => group.classList.toggle("faded", picked >= 0 && index !== picked));
    }));
    const name = () => map.classList.toggle("nameless", Boolean(labels) && !labels.checked);
    if (labels && innerWidth < 700) labels.checked = false; // no room
    labels?.addEventListener("change", name);
    name();
  }

  // --- clouds on a canvas: drag, wheel, pinch, arrow keys -----------------------------------------------------------
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stops = [[63, 99, 200], [31, 163, 154], [229, 169, 60]]; // low, middle, high
  const byHeight = (height) => {
    const place = Math.min(1.999, Math.max(0, height + 1)), first = Math.floor(place), rest = place - first;
    return `rgb(${stops[first].map((part, i) => Math.round(part + rest * (stops[first + 1][i] - part))).join(",")})`;
  };
  const scenes = [...document.querySelectorAll(".scene")].map((box) => {
    const values = new Int16Array(bytes(box.dataset.points).buffer), part = bytes(box.dataset.part), colors = box.dataset.colors.split(" ");
    const count = values.length / 3, order = [...Array(count).keys()], depth = new Float32Array(count);
    const heights = order.map((i) => byHeight(values[3 * i + 1] / 32767));
    const view = { turn: 0.65, tilt: 0.45, zoom: 1 };
    const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    const pointers = new Map();
    function draw() {
      const size = Math.round(box.clientWidth * devicePixelRatio);
      if (!size) return;
      if (canvas.width !== size) canvas.width = canvas.height = size;
      pen.clearRect(0, 0, size, size);
      const byPart = part.length && document.querySelector('input[name="scene-color"][value="part"]')?.checked;
      const none = color("--muted"), [sa, ca, sb, cb] = [Math.sin(view.turn), Math.cos(view.turn), Math.sin(view.tilt), Math.cos(view.tilt)];
      const place = (i) => {
        const [x, y, z] = [values[3 * i] / 32767, values[3 * i + 1] / 32767, values[3 * i + 2] / 32767];
        const near = z * ca + x * sa;
        return [x * ca - z * sa, y * cb - near * sb, near * cb + y * sb];
      };
      const seen = order.map((_, i) => place(i));
      seen.forEach((point, i) => { depth[i] = point[2]; });
      const sorted = order.slice().sort((a, b) => depth[a] - depth[b]), radius = 0.0085 * size * Math.sqrt(1024 / Math.max(count, 256));
      sorted.forEach((i) => {
        const scale = view.zoom * 0.41 * size * 3 / (3 - depth[i]); // a mild perspective
        pen.fillStyle = byPart ? colors[part[i]] ?? none : heights[i];
        pen.beginPath();
        pen.arc(size / 2 + scale * seen[i][0], size / 2 - scale * seen[i][1], radius * Math.sqrt(view.zoom), 0, 7);
        pen.fill();
      });
    }
    let waiting = false;
    const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };
    const zoom = (factor) => { view.zoom = Math.min(6, Math.max(0.5, view.zoom * factor)); later(); };
    const rotate = (turn, tilt) => { view.turn -= turn; view.tilt = Math.min(1.57, Math.max(-1.57, view.tilt + tilt)); later(); };
    box.addEventListener("pointerdown", (event) => { box.setPointerCapture(event.pointerId); pointers.set(event.pointerId, event); });
    box.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const other = [...pointers.values()].find((each) => each.pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      if (other) zoom(apart(event) / Math.max(1, apart(before)));
      else rotate((event.clientX - before.clientX) / 100, (event.clientY - before.clientY) / 100);
      pointers.set(event.pointerId, event);
    });
    ["pointerup", "pointercancel"].forEach((name) => box.addEventListener(name, (event) => pointers.delete(event.pointerId)));
    box.addEventListener("wheel", (event) => {
      if (document.activeElement !== box) return; // the page scrolls
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 500));
    }, { passive: false });
    const keys = {
      ArrowLeft: () => rotate(-0.15, 0), ArrowRight: () => rotate(0.15, 0), ArrowUp: () => rotate(0, -0.15), ArrowDown: () => rotate(0, 0.15),
      "+": () => zoom(1.2), "-": () => zoom(1 / 1.2),
    };
    box.addEventListener("keydown", (event) => { if (keys[event.key]) { event.preventDefault(); keys[event.key](); } });
    box.replaceChildren(canvas);
    new ResizeObserver(later).observe(box);
    draw();
    return later;
  });
  document.querySelectorAll('input[name="scene-color"]').forEach((input) => input.addEventListener("change", () => {
    root.toggleAttribute("data-parts", document.querySelector('input[name="scene-color"][value="part"]').checked);
    scenes.forEach((draw) => draw());
  }));

  // --- the navigation follows; paper is light ----------------------------------------------------------------------
  addEventListener("beforeprint", () => { root.dataset.theme = "light"; document.querySelectorAll("details").forEach((one) => { one.open = true; }); });
  addEventListener("afterprint", () => { delete root.dataset.theme; });
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const spy = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    links.forEach((link) => link.removeAttribute("aria-current"));
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }), { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main section").forEach((section) => spy.observe(section));
  root.setAttribute("data-ready", "");
})();
