"""The config of the benchmarks: three inputs, five fields, all of their basis."""

from pathlib import Path

FIELDS = {
    "headquarters": ("string", "City and country of the headquarters."),
    "founded_year": ("integer", "Year in which the company was founded."),
    "industry": ("string", "The sector that brings most of the sales."),
    "key_products": ("array", "The two to five best-known products."),
    "employees": ("integer", "Number of employees."),
}


def write_config(path: Path, *, accept: str = "high") -> Path:
    """Write it. From `accept` up an answer is accepted; what is below waits for review if `accept` is a number."""
    lines = [
        "name: benchmark",
        "inputs: {company_name: name, website: domain, country: country}",
        "require: [company_name]",
        "processor: lite",
        f"confidence: {{accept: {accept}, review: {'medium' if accept == 'high' else '0.0'}}}",
        "basis: [confidence, citations, reasoning]",
        "refresh: never",
        "outputs:",
    ]
    for name, (kind, description) in FIELDS.items():
        items = ", items: {type: string}" if kind == "array" else ""
        lines.append(f"  {name}: {{type: {kind}{items}, description: {description!r}}}")
    path.write_text("\n".join(lines) + "\n")
    return path
