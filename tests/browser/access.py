"""What axe-core finds: what keeps people out who see, hear or point otherwise."""

from importlib.resources import files

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
PAGES = {  # ground and ink of JupyterLab's themes
    "light": ("#ffffff", "rgba(0, 0, 0, 0.87)"),
    "dark": ("#111111", "rgba(255, 255, 255, 0.87)"),
}
RUN = """
async within => {
    const options = {resultTypes: ['violations']};
    const {violations} = await axe.run({include: [within]}, options);
    return violations.filter(v => ['serious', 'critical'].includes(v.impact)).flatMap(
        v => v.nodes.map(node => `${v.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
}
"""


def violations(page, within: str) -> list[str]:
    """What is serious or critical within the elements of a page that a selector finds."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {AXE} }}")
    return page.evaluate(RUN, within)


def outputs_page(outputs: list[str], theme: str) -> str:
    """Outputs in HTML below each other, on a page with the colours of JupyterLab's."""
    ground, ink = PAGES[theme]
    body = "".join(f"<div>{html}</div>" for html in outputs)
    look = f"background:{ground};color:{ink};font:13px/1.4 sans-serif"
    return (
        f'<html lang="en"><head><title>outputs</title></head>'
        f'<body style="{look}"><main>{body}</main></body></html>'
    )
