"use strict";
(function () {
  const form = document.getElementById("filter");
  const rows = [...document.querySelectorAll("tr[data-county]")];
  const shown = document.getElementById("shown");
  if (!form || !shown) { return; }
  const county = form.elements.namedItem("county");
  const name = form.elements.namedItem("name");
  const call = form.elements.namedItem("call");
  function apply() {
    const words = name.value.trim().toLowerCase();
    const counties = new Set();
    let count = 0;
    for (const row of rows) {
      if (row.dataset.name === undefined) { continue; }
      const fits = (!county.value || row.dataset.county === county.value) &&
        (!words || row.dataset.name.includes(words)) &&
        (!call.checked || row.dataset.call === "1");
      row.hidden = !fits;
      if (fits) { count += 1; counties.add(row.dataset.county); }
    }
    for (const row of rows) {
      if (row.dataset.name === undefined) { row.hidden = !counties.has(row.dataset.county); }
    }
    shown.textContent = count.toLocaleString("en-US") + (count === 1 ? " district" : " districts");
  }
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
}());
