// What keys do. In the search box only Esc, Enter and the arrow down leave their usual meaning.

// `page`: search (the input), table, open(), close() -> whether something was closed.
export function listen({ search, table, open, close }) {
  const moves = {
    ArrowDown: () => 1,
    ArrowUp: () => -1,
    PageDown: () => table.page,
    PageUp: () => -table.page,
    Home: () => -Infinity,
    End: () => Infinity,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") escape(event, search, table, close);
    else if (event.target === search) leaveSearch(event, table);
    else if (event.key === "/") focus(event, search);
    else if (event.target === table.grid && event.key in moves) {
      event.preventDefault();
      table.move(moves[event.key]());
    } else if (event.target === table.grid && event.key === "Enter") open();
    else if (event.target === document.body && event.key.startsWith("Arrow")) {
      focus(event, table.grid);
      table.move(0);
    }
  });
}

// Esc closes the panel; else it empties the search; and it leaves the search.
function escape(event, search, table, close) {
  if (!close() && search.value) {
    search.value = "";
    search.dispatchEvent(new Event("input"));
  }
  focus(event, table.grid);
}

function leaveSearch(event, table) {
  if (event.key !== "Enter" && event.key !== "ArrowDown") return;
  focus(event, table.grid);
  table.selected = null;
  table.move(0);
}

function focus(event, box) {
  event.preventDefault();
  box.focus();
  box.select?.();
}
