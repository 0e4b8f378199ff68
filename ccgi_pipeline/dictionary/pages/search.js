// Searches the dictionary's entries, which entries.js holds: [kind, name, text, address].
"use strict";
(() => {
  const form = document.getElementById("search");
  const query = document.getElementById("query");
  const count = document.getElementById("count");
  const results = document.getElementById("results");
  const most = 50;
  const folded = entries.map(([kind, name, text]) => [name.toLowerCase(), `${kind} ${name} ${text}`.toLowerCase()]);

  function rank(place, words, whole) {
    const [name, all] = folded[place];
    if (!words.every((word) => all.includes(word))) return -1;
    if (name === whole) return 0;
    if (name.startsWith(whole)) return 1;
    return words.every((word) => name.includes(word)) ? 2 : 3;
  }

  function show() {
    const whole = query.value.trim().toLowerCase();
    const words = whole.split(/\s+/).filter(Boolean);
    const found = words.length
      ? entries.map((_, place) => [rank(place, words, whole), place]).filter(([weight]) => weight >= 0)
      : [];
    found.sort((one, other) => one[0] - other[0] || one[1] - other[1]);
    count.textContent = !words.length ? ""
      : found.length > most ? `${found.length} entries; the first ${most} are shown`
      : found.length === 1 ? "1 entry" : `${found.length} entries`;
    results.replaceChildren(...found.slice(0, most).map(([, place]) => item(entries[place])));
    history.replaceState(null, "", whole ? `#q=${encodeURIComponent(query.value.trim())}` : "#");
  }

  function item([kind, name, text, address]) {
    const line = document.createElement("li");
    const link = document.createElement("a");
    link.href = address;
    link.textContent = name;
    const about = document.createElement("span");
    about.className = "small";
    about.textContent = `${kind} · ${text}`;
    line.append(link, about);
    return line;
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const first = results.querySelector("a");
    if (first) first.click();
  });
  query.addEventListener("input", show);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== query) {
      event.preventDefault();
      query.focus();
    }
  });
  const asked = /^#q=(.*)$/.exec(location.hash);
  if (asked) {
    query.value = decodeURIComponent(asked[1]);
    show();
  }
})();
