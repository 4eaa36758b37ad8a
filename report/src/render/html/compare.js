// Hovering over a value shows its ratio to the value of polling in the same case. The page is complete without this script.
"use strict";
{
  const readout = document.getElementById("readout");
  let marked = [];

  // The keys of a row without the wait mode.
  const caseOf = (row) =>
    [...row.querySelectorAll("th")].filter((key) => !key.querySelector(".swatch")).map((key) => key.textContent).join(", ");
  const modeOf = (row) => row.querySelector("th .swatch")?.nextElementSibling?.textContent ?? "";

  const showRatio = (cell) => {
    for (const other of marked) other.classList.remove("here");
    marked = [];
    const data = cell?.querySelector("data");
    const row = cell?.parentElement;
    if (!data || !row.className || !data.title.includes(" ")) {
      readout.textContent = "";
      return;
    }
    const rows = [...row.parentElement.rows].filter((other) => caseOf(other) === caseOf(row));
    const head = row.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent.trim();
    marked = rows.map((other) => other.cells[cell.cellIndex]);
    for (const other of marked) other.classList.add("here");
    const poll = rows.find((other) => modeOf(other) === "poll" && other !== row);
    const base = Number(poll?.cells[cell.cellIndex].querySelector("data")?.value);
    const ratio = base > 0 ? `, ${(Number(data.value) / base).toPrecision(3)} times poll` : "";
    const interval = cell.querySelector(".interval");
    const intervalText = interval ? ` (${interval.textContent})` : "";
    readout.textContent = `${caseOf(row)}, ${modeOf(row)}: ${head} ${data.title}${intervalText}${ratio}`;
  };

  document.addEventListener("pointerover", (event) => showRatio(event.target.closest("td")));
  document.addEventListener("keydown", (event) => event.key === "Escape" && showRatio(null));
}
