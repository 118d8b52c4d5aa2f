// The image of the shape under the cursor, beside the map's dots; the lasso; files; plots that follow the window.
{
  const card = document.createElement("div");
  card.id = "hover-card";
  card.hidden = true;
  document.body.append(card);
  window.showShape = (event) => {
    const point = event.points[0], { clientX: x, clientY: y } = event.event;
    const image = document.createElement("img"), name = document.createElement("div");
    image.src = `/image/${point.customdata}`;
    image.alt = "";
    name.textContent = point.data.meta;
    card.replaceChildren(image, name);
    card.hidden = false;
    const width = card.offsetWidth, height = card.offsetHeight;
    card.style.left = `${Math.max(8, x + 18 + width > innerWidth ? x - width - 18 : x + 18)}px`;
    card.style.top = `${Math.min(Math.max(8, y - height / 2), innerHeight - height - 8)}px`;
  };
  window.hideShape = () => { card.hidden = true; };
  window.useLasso = async (button) => {
    const { Plotly } = await import("nicegui-plotly"), plot = document.querySelector(".map");
    const lasso = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", lasso);
    if (plot) Plotly.relayout(plot, { dragmode: lasso ? "lasso" : "pan" });
  };
  const chooser = () => document.querySelector(".q-uploader__input");
  const give = (files) => {
    const data = new DataTransfer(), input = chooser();
    for (const file of files) data.items.add(file);
    if (!input || !data.files.length) return;
    input.files = data.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  addEventListener("paste", (event) => {
    if (!/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName)) give(event.clipboardData.files);
  });
  window.takePhoto = () => {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", accept: "image/*", onchange: () => give(input.files) });
    input.setAttribute("capture", "environment");
    input.click();
  };
  // What Quasar leaves without a name, or out of reach of the Tab key; and "Show more" when it is scrolled to.
  const more = new IntersectionObserver((seen) => seen.forEach((one) => one.isIntersecting && one.target.click()));
  const watched = new WeakSet();
  new MutationObserver(() => {
    const input = chooser();
    if (input && !input.ariaLabel) Object.assign(input, { ariaLabel: "Choose files to search with", tabIndex: 0 });
    document.querySelectorAll(".q-dialog [role=dialog]:not([aria-label]), .q-dialog[role=dialog]:not([aria-label])")
      .forEach((one) => one.setAttribute("aria-label", "A shape"));
    document.querySelectorAll("button.more").forEach((one) => watched.has(one) || (watched.add(one), more.observe(one)));
  }).observe(document.body, { childList: true, subtree: true });
  let soon;
  addEventListener("resize", () => {
    clearTimeout(soon);
    soon = setTimeout(async () => {
      const { Plotly } = await import("nicegui-plotly");
      document.querySelectorAll(".js-plotly-plot").forEach((plot) => plot.offsetParent && Plotly.Plots.resize(plot));
    }, 200);
  });
}
