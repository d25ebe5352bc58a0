"use strict";
// Tables are sorted by their headings, by mouse or keyboard; rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const original = [...body.rows];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    const isNumber = heading.dataset.kind === "number";
    const compare = (one, other) => {
      const [a, b] = [one, other].map((row) => row.cells[column].dataset.key);
      return isNumber ? (Number(a) === Number(b) ? 0 : Number(a) - Number(b)) : a.localeCompare(b);
    };
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const order = before ? (before === "ascending" ? "descending" : "ascending") : isNumber ? "descending" : "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const present = original.filter((row) => row.cells[column].dataset.key !== "");
      const missing = original.filter((row) => row.cells[column].dataset.key === "");
      body.append(...present.sort((one, other) => sign * compare(one, other)), ...missing);
    });
  });
}
