// The image of the shape under the cursor, beside the map's dots; and plots that follow the window.
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
  let soon;
  addEventListener("resize", () => {
    clearTimeout(soon);
    soon = setTimeout(async () => {
      const { Plotly } = await import("nicegui-plotly");
      document.querySelectorAll(".js-plotly-plot").forEach((plot) => plot.offsetParent && Plotly.Plots.resize(plot));
    }, 200);
  });
}
