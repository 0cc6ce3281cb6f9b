// Makes pages of the README, the documents and the package's README, in a folder of a site that holds the
// playground's style sheets: node tools/documents.mjs SITE/docs
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Marked } from 'marked';

const root = fileURLToPath(new URL('../..', import.meta.url));
const [out] = process.argv.slice(2);

/** Which page each document is. */
const pages = { 'README.md': 'index.html', 'web/README.md': 'package.html', 'CHANGELOG.md': 'changes.html' };
for (const name of (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md'))) {
  pages[`docs/${name}`] = name.replace(/\.md$/, '.html');
}
const repository = (await readFile(join(root, 'Cargo.toml'), 'utf8')).match(/^repository = "(.*)"/m)?.[1];

const slug = (text) => text.toLowerCase().replace(/<[^>]*>|[^\p{L}\p{N}\s_-]/gu, '').trim().replaceAll(' ', '-');

/** Where a link of a document leads; null for a file that is nowhere to be seen. */
function target(href, document) {
  if (/^(https?:|mailto:|#)/.test(href)) return href;
  const [path, anchor] = href.split('#');
  const file = normalize(join(dirname(document), path)).replace(/\/$/, '');
  if (pages[file]) return `${pages[file]}${anchor ? `#${anchor}` : ''}`;
  return repository ? `${repository}/blob/HEAD/${file}` : null;
}

await mkdir(out, { recursive: true });
for (const [document, page] of Object.entries(pages)) {
  const text = await readFile(join(root, document), 'utf8');
  const images = [];
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth }) {
        const inner = this.parser.parseInline(tokens);
        return `<h${depth} id="${slug(inner)}">${inner}</h${depth}>\n`;
      },
      link({ href, tokens }) {
        const inner = this.parser.parseInline(tokens);
        const to = target(href, document);
        return to ? `<a href="${to}">${inner}</a>` : inner;
      },
      image({ href, text }) {
        const file = normalize(join(dirname(document), href));
        images.push(file);
        return `<img src="images/${basename(file)}" alt="${text}">`;
      },
      table(token) {
        const cell = ({ text, tokens }, tag) => (text === '' ? '<td></td>' : `<${tag}>${this.parser.parseInline(tokens)}</${tag}>`);
        const row = (cells, tag) => `<tr>${cells.map((one) => cell(one, tag)).join('')}</tr>`;
        const head = token.header.some(({ text }) => text !== '') ? `<thead>${row(token.header, 'th')}</thead>` : '';
        return `<div class="scroll" tabindex="0"><table>${head}<tbody>${token.rows.map((cells) => row(cells, 'td')).join('')}</tbody></table></div>\n`;
      },
      code({ text, lang }) {
        // Lines that only the compiler sees.
        const shown = /^rust/.test(lang ?? '') ? text.split('\n').filter((line) => !/^# |^#$/.test(line)).join('\n') : text;
        return `<pre tabindex="0"><code>${shown.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</code></pre>\n`;
      },
    },
  });
  const body = marked.parse(text);
  const title = text.match(/^# (.*)/m)?.[1] ?? document;
  await writeFile(join(out, page), `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="stylesheet" href="../base.css">
<link rel="stylesheet" href="../document.css">
</head>
<body>
<header><a href="../">The playground</a> <a href="index.html">Documentation</a> <a href="package.html">Package</a> <a href="changes.html">Changes</a> <a href="../compare/">Comparison</a></header>
<main>${body}</main>
</body>
</html>
`);
  await mkdir(join(out, 'images'), { recursive: true });
  for (const image of images) await copyFile(join(root, image), join(out, 'images', basename(image)));
}
