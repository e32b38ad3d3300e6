// Runs before anything is drawn, so that a page whose theme was chosen does not flash in the other one.
"use strict";
{
  const kept = localStorage.getItem("domstats.theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
}
