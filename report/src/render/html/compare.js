// Points at a figure: says how it stands to polling's in the same case. The page is whole without it.
"use strict";
{
  const readout = document.getElementById("readout");
  let marked = [];

  // The words of a row that say what it is about, without the way to wait.
  const caseOf = (row) =>
    [...row.querySelectorAll("th")].filter((key) => !key.querySelector(".swatch")).map((key) => key.textContent).join(", ");
  const modeOf = (row) => row.querySelector("th .swatch")?.nextElementSibling?.textContent ?? "";

  const tell = (cell) => {
    for (const one of marked) one.classList.remove("here");
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
    for (const one of marked) one.classList.add("here");
    const poll = rows.find((other) => modeOf(other) === "poll" && other !== row);
    const base = Number(poll?.cells[cell.cellIndex].querySelector("data")?.value);
    const ratio = base > 0 ? `, ${(Number(data.value) / base).toPrecision(3)} times poll's` : "";
    const interval = cell.querySelector(".interval");
    const within = interval ? ` (${interval.textContent})` : "";
    readout.textContent = `${caseOf(row)}, ${modeOf(row)}: ${head} ${data.title}${within}${ratio}`;
  };

  document.addEventListener("pointerover", (event) => tell(event.target.closest("td")));
  document.addEventListener("keydown", (event) => event.key === "Escape" && tell(null));
}
