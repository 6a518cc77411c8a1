// The sliders' handles have no name of their own; a screen reader is told the label beside them.
function nameHandles() {
  for (const handle of document.querySelectorAll(".noUi-handle:not([aria-label])")) {
    const label = handle.closest(".widget-slider, .jupyter-widgets")?.querySelector(".widget-label");
    handle.setAttribute("aria-label", label?.textContent || "slider");
  }
}
new MutationObserver(nameHandles).observe(document.documentElement, { childList: true, subtree: true });
