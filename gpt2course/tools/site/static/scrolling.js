// What is wider than a narrow page scrolls sideways: the keyboard can reach it, too.
function reachWhatScrolls() {
  for (const part of document.querySelectorAll("article pre, article div")) {
    const scrolls = part.scrollWidth > part.clientWidth + 1
      && ["auto", "scroll"].includes(getComputedStyle(part).overflowX);
    if (scrolls) part.tabIndex = 0;
    else part.removeAttribute("tabindex");
  }
}
addEventListener("load", reachWhatScrolls);
addEventListener("resize", reachWhatScrolls);
document.addEventListener("toggle", reachWhatScrolls, true);
