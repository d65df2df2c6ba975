// Tables. Only the rows that can be seen are in the document, however many there are; those are written over when it is scrolled, so that
// an update costs a few texts.

import { classes, make, write } from "./dom.js";

const ROW = 26;
const BEYOND = 4;

export class Table {
  // `columns`: {title, width, num, show(row, cell) -> text or nothing, sort(row)}. `pick(row)` makes rows that can be chosen.
  constructor(view, { label, columns, key, pick, empty, sort }) {
    Object.assign(this, { view, columns, key, pick, order: sort ?? null, rows: [], pool: [], chosen: null, current: 0 });
    this.heads = columns.map((column, i) => this.head(column, i));
    this.above = make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: columns.length }));
    this.below = make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: columns.length }));
    this.body = make("tbody", {}, this.above, this.below);
    this.table = make("table", { "aria-label": label }, make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    this.none = make("p", { class: "empty" }, empty);
    view.replaceChildren(this.table, this.none);
    view.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(view);
    if (pick) this.body.addEventListener("keydown", event => this.move(event));
    this.update([]);
  }

  head(column, index) {
    const cell = make("th", { scope: "col", class: column.num ? "num" : null });
    if (column.width) cell.style.width = column.width;
    if (!column.sort) cell.append(column.title);
    else cell.append(make("button", { type: "button", click: () => this.by(index) }, column.title));
    return cell;
  }

  by(column) {
    const down = this.order?.column === column ? !this.order.down : Boolean(this.columns[column].num);
    this.order = { column, down };
    this.update(this.rows);
  }

  soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  update(rows) {
    this.rows = rows;
    if (this.order) {
      const { column, down } = this.order;
      const { sort } = this.columns[column];
      const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
      this.rows = [...rows].sort((a, b) => compare(sort(a) ?? -1, sort(b) ?? -1) * (down ? -1 : 1));
      this.heads.forEach((head, i) => {
        if (i === column) head.setAttribute("aria-sort", down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
    }
    this.none.hidden = rows.length > 0;
    this.table.setAttribute("aria-rowcount", rows.length + 1);
    this.draw();
  }

  choose(key) {
    this.chosen = key;
    this.draw();
  }

  draw() {
    const { scrollTop, clientHeight } = this.view;
    if (clientHeight === 0) return;
    const first = Math.max(0, Math.min(Math.floor(scrollTop / ROW) - BEYOND, this.rows.length));
    const last = Math.min(this.rows.length, Math.ceil((scrollTop + clientHeight) / ROW) + BEYOND);
    while (this.pool.length < last - first) this.pool.push(this.row());
    this.above.firstChild.style.height = `${first * ROW}px`;
    this.below.firstChild.style.height = `${(this.rows.length - last) * ROW}px`;
    this.pool.forEach((line, i) => {
      const index = first + i;
      if (index >= last) return line.element.remove();
      if (!line.element.isConnected) this.below.before(line.element);
      this.fill(line, this.rows[index], index);
    });
  }

  row() {
    const cells = this.columns.map(column => make("td", { class: column.num ? "num" : null }));
    const element = make("tr", { class: this.pick ? "pick" : null }, ...cells);
    const line = { element, cells };
    if (this.pick) element.addEventListener("click", () => this.take(line.index));
    return line;
  }

  fill(line, row, index) {
    const { element, cells } = line;
    line.index = index;
    element.setAttribute("aria-rowindex", index + 2);
    if (this.pick) {
      element.tabIndex = index === Math.min(this.current, this.rows.length - 1) ? 0 : -1;
      const chosen = String(this.key(row) === this.chosen);
      if (element.getAttribute("aria-selected") !== chosen) element.setAttribute("aria-selected", chosen);
    }
    this.columns.forEach((column, i) => {
      const text = column.show(row, cells[i]);
      if (text === undefined) return;
      write(cells[i], text);
      if (cells[i].title !== text && column.long) cells[i].title = text;
      if (column.style) classes(cells[i], `${column.num ? "num " : ""}${column.style(row)}`);
    });
  }

  take(index) {
    this.current = index;
    this.pick(this.rows[index]);
  }

  move(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (event.target.closest("button")) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      return this.take(this.current);
    }
    if (step === undefined) return;
    event.preventDefault();
    this.current = Math.max(0, Math.min(this.rows.length - 1, this.current + step));
    const top = this.current * ROW;
    const { scrollTop, clientHeight } = this.view;
    if (top < scrollTop) this.view.scrollTop = top;
    else if (top + 2 * ROW > scrollTop + clientHeight) this.view.scrollTop = top + 2 * ROW - clientHeight;
    this.draw();
    this.pool.find(line => line.index === this.current && line.element.isConnected)?.element.focus();
  }
}
