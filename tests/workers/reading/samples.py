"""Small documents in every format, built byte by byte."""

from __future__ import annotations

import io
import zipfile

from swallowtail.workers.reading.blocks import Block
from swallowtail.workers.reading.reader import read, read_text

RST = """\
.. image:: https://img.example.com/tideline.svg
   :target: https://example.com/tideline
   :alt: Version

|status| |docs|

.. |status| image:: https://example.com/status.svg

.. contents:: Table of contents

========
Tideline
========

Tideline predicts the water level of small harbours for the next 48 hours.
It reads the gauges of 1,200 stations [1]_. See the
`documentation <https://example.com/docs>`_ and the :doc:`guide </start>`.

.. note::

   Forecasts are updated every 15 minutes.

Installation
============

.. code-block:: bash

   pip install tideline
   # start it

Then open it::

    http://localhost:9000

Use :class:`~tideline.Station` for a single harbour.

.. automodule:: tideline
   :members:

.. list-table:: Stations
   :header-rows: 1

   * - Harbour
     - Level
   * - Ostend
     - 4.2 metres

Donations
=========

* `Open Collective <https://example.com/oc>`_
* `Chat`_ | `Forum`_

.. [1] Measured in 2025.
.. _CI: https://example.com/ci
.. _Chat: https://example.com/chat
.. include:: /etc/passwd
.. raw:: html

   <script>alert(1)</script>
"""

MARKDOWN = """\
<p align="center"><img src="logo.svg" alt="Tideline logo"></p>

<h1 align="center">Tideline</h1>

<p align="center">
  <a href="https://x"><img src="https://img.example.com/a.svg" alt="Build"></a>
  [![npm](https://img.example.com/npm.svg)](https://x)
</p>

[![Build](https://img.example.com/b.svg)](https://ci) [![Docs][docs-badge]][docs-link] [![Lost][lost]][lost]

[Docs](https://d) • [Discord](https://d) • [Donate](#donate)

> [!NOTE]
> Tideline 2 is out since March 2026.

Tideline :rocket: predicts the water level of small harbours[^1] for the next 48 hours. It is **free** for [all][h].

- [Install](#install)
- [Use](#use)

## Install

```bash
pip install tideline
```

    tideline serve

- [x] Works offline for three days
- [ ] Windows service {#win}
- `tideline forecast ostend`

{% include foo.html %}
See [[the wiki|Wiki page]] and [missing ref][nope].

[^1]: Up to 300 berths.
[docs-badge]: https://img.example.com/d.svg
[h]: https://h
"""

HTML = """\
<!doctype html><html><head><title>Tideline – Shop</title><style>p{}</style></head><body>
<nav><a href="/">Home</a></nav><div role="navigation">Menu</div>
<main><h1>Tideline<a class="headerlink" href="#x">¶</a></h1>
<p>Tideline predicts the water level.</p><p><a href="/a">Read more</a></p><pre>code</pre><p hidden>not seen</p>
<ul><li>Free &amp; open</li></ul></main><footer>Imprint</footer></body></html>
"""

GERMAN = """\
Das Café am Hafen

Das Café am Hafen öffnet am 3. Mai 2026 in der Hafenstraße 12. Es hat 40 Plätze
auf der Terrasse und röstet den Kaffee selbst.

Interne Hinweise

Bitte nicht über den Preis sprechen.

Angebot

- Der Kaffee kostet 2,80 Euro und die Bohnen kommen aus Peru.
- Das Frühstück gibt es von 7 bis 14 Uhr, auch mit glutenfreiem Brot.
- In der Hafenstraße wird jeden Freitag Musik gespielt, und Der Hafenstraße gefällt es.
"""

_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_STYLES = (
    f'<w:styles xmlns:w="{_WORD}"><w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style></w:styles>'
)


def text_of(blocks: tuple[Block, ...]) -> list[str]:
    """Return the text of each block, headings with a number sign in front."""
    return [f"# {block.text}" if block.level else block.text for block in blocks]


def read_blocks(source: str | bytes) -> list[str]:
    """Return the blocks that are read from a document."""
    return text_of((read(source) if isinstance(source, bytes) else read_text(source)).blocks)


def docx(*paragraphs: tuple[str, str], more: dict[str, bytes] | None = None) -> bytes:
    """Return a Word document of paragraphs `(style, text)`."""
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'
        for style, text in paragraphs
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATIONS)
        archive.writestr("word/styles.xml", _STYLES)
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>')
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return packed.getvalue()


def pdf(*lines: str, title: str = "", stream: bytes | None = None, filters: str = "") -> bytes:
    """Return a PDF of one page with these lines, or with this content stream."""
    shown = "".join(f"({line.replace('(', '').replace(')', '')}) Tj T* " for line in lines)
    content = stream if stream is not None else f"BT /F1 12 Tf 14 TL 50 750 Td {shown} ET".encode("latin-1")
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources 7 0 R >>",
        b"<< /Length %d %s >>\nstream\n" % (len(content), filters.encode()) + content + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({title}) >>".encode("latin-1"),
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    document, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(document))
        document += b"%d 0 obj\n" % number + part + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1)
    tail = b"trailer << /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(parts) + 1, len(document))
    return document + head + table + tail
