// Widgets come without names for a screen reader. A slider's handle gets the label beside it; a picture gets the
// text that `tools/stage.py` put beside the widget from the cell's `mystnb: image: alt:`.
function nameWidgets() {
  for (const handle of document.querySelectorAll(".noUi-handle:not([aria-label])")) {
    const label = handle.closest(".widget-slider, .jupyter-widgets")?.querySelector(".widget-label");
    handle.setAttribute("aria-label", label?.textContent || "slider");
  }
  for (const picture of document.querySelectorAll(".jupyter-widgets img:not([alt])")) {
    picture.alt = picture.closest(".cell_output")?.querySelector(".widget-alt")?.textContent || "";
  }
}
new MutationObserver(nameWidgets).observe(document.documentElement, { childList: true, subtree: true });
