// Widgets load their modules from this folder, however deep the page that shows them stands.
const widgetsFolder = document.currentScript.src.replace(/[^/]*$/, "");
requirejs.config({ baseUrl: widgetsFolder });
