// The ledger's page: a link to a claim opens its card, and three fields filter. Without scripts all cards are there.
addEventListener("DOMContentLoaded", () => {
  const open = () => {
    const card = location.hash.startsWith("#claim-") && document.getElementById(location.hash.slice(1));
    if (!card) return;
    card.hidden = false;
    card.open = true;
    card.scrollIntoView();
    card.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", open);
  addEventListener("load", open); // a browser that comes from another page moves the focus until then

  const form = document.querySelector(".ledger-filter");
  if (form) {
    const cards = [...document.querySelectorAll(".ledger-card")];
    const filter = () => {
      const wanted = Object.fromEntries([...form.querySelectorAll("[data-by]")].map((e) => [e.dataset.by, e.value]));
      const word = wanted.word.trim().toLowerCase();
      let shown = 0;
      for (const card of cards) {
        card.hidden =
          (wanted.verdict && card.dataset.verdict !== wanted.verdict) ||
          (wanted.section && card.dataset.section !== wanted.section) ||
          (word && !`${card.id} ${card.textContent}`.toLowerCase().includes(word));
        shown += !card.hidden;
      }
      form.querySelector("output").textContent = `${shown} of ${cards.length} claims`;
    };
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }
  open();
});
