"use strict";
// The form works without this: it adds dropping files, a list of them, and a word of progress.
(() => {
  const form = document.getElementById("form");
  const files = document.getElementById("files");
  const drop = document.getElementById("drop");
  const chosen = document.getElementById("chosen");
  const progress = document.getElementById("progress");
  const largest = Number(form.dataset.largest);
  const most = Number(form.dataset.most);
  document.getElementById("hint").hidden = false;

  const say = (words, fault) => {
    progress.textContent = words;
    progress.hidden = !words;
    progress.classList.toggle("fault", Boolean(fault));
  };

  const size = (bytes) =>
    bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

  const fault = () => {
    const list = [...files.files];
    const bytes = list.reduce((sum, file) => sum + file.size, 0);
    if (list.length > most) return `These are more than ${most} files: put them into a zip.`;
    if (bytes > largest) {
      return `The files have ${size(bytes)}, more than this page takes (${size(largest)}): ` +
        "zip them, or send fewer at once.";
    }
    if (new Set(list.map((file) => file.name)).size < list.length) {
      return "Two of the files have the same name: check them one after the other.";
    }
    return "";
  };

  const show = () => {
    const lines = [...files.files].map((file) => {
      const line = document.createElement("li");
      line.textContent = `${file.name} (${size(file.size)})`;
      return line;
    });
    chosen.replaceChildren(...lines);
    files.setCustomValidity(fault());
    say(fault(), true);
  };

  files.addEventListener("change", show);
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) drop.classList.remove("over");
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) {
      files.files = event.dataTransfer.files;
      show();
    }
  });

  const buttons = form.querySelectorAll("button");
  form.addEventListener("submit", (event) => {
    const saved = event.submitter !== null && event.submitter.value === "json";
    say(saved
      ? "Judging: your browser saves the findings when they are ready."
      : "Sending and judging: this takes some seconds.");
    // Not at once: a button that is disabled is not sent. A file that is saved leaves the page.
    if (!saved) setTimeout(() => buttons.forEach((button) => { button.disabled = true; }));
  });
  window.addEventListener("pageshow", () => {
    buttons.forEach((button) => { button.disabled = false; });
    show();
  });
})();
