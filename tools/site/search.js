// The search: every word that is asked for must be in a section; a word in its heading counts most.
(() => {
  const form = document.getElementById('search');
  const input = document.getElementById('q');
  const found = document.getElementById('found');
  const up = form.dataset.up;
  let sections;
  form.hidden = false;
  // On a wide screen the list of pages is always there, on a narrow one when it is asked for.
  const menu = document.getElementById('menu');
  const wide = matchMedia('(min-width: 60rem)');
  const open = () => { if (wide.matches) menu.open = true; };
  wide.addEventListener('change', open);
  open();

  const load = async () => { sections ??= await (await fetch(up + 'search.json')).json(); };
  const score = (s, words) => {
    const head = s.h.toLowerCase(), text = s.t.toLowerCase();
    let sum = 0;
    for (const w of words) {
      const inHead = head.includes(w), inText = text.includes(w);
      if (!inHead && !inText) return 0;
      sum += (inHead ? 10 : 0) + (inText ? 1 + 200 / (200 + text.indexOf(w)) : 0);
    }
    return sum + (s.a ? 0 : 2) - (s.p.startsWith('decisions/') ? 6 : 0) + 20;
  };
  const marked = (text, words) => {
    const at = Math.max(0, Math.min(...words.map((w) => { const i = text.toLowerCase().indexOf(w); return i < 0 ? Infinity : i; })) - 60);
    const piece = text.slice(Number.isFinite(at) ? at : 0, (Number.isFinite(at) ? at : 0) + 180);
    const out = document.createElement('small');
    let rest = piece;
    while (rest) {
      const low = rest.toLowerCase();
      let first = -1, length = 0;
      for (const w of words) {
        const i = low.indexOf(w);
        if (i >= 0 && (first < 0 || i < first)) { first = i; length = w.length; }
      }
      if (first < 0) { out.append(rest); break; }
      const mark = document.createElement('mark');
      mark.textContent = rest.slice(first, first + length);
      out.append(rest.slice(0, first), mark);
      rest = rest.slice(first + length);
    }
    return out;
  };
  const show = async () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { found.hidden = true; return; }
    await load();
    const best = sections.map((s) => [score(s, words), s]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0]).slice(0, 12);
    found.replaceChildren(...best.map(([, s]) => {
      const a = document.createElement('a');
      a.href = up + s.p + (s.a ? '#' + s.a : '');
      const title = document.createElement('b');
      title.textContent = s.h;
      a.append(title, marked(s.t, words));
      return a;
    }));
    if (!best.length) found.textContent = 'Nothing has all of these words.';
    found.hidden = false;
  };
  input.addEventListener('focus', load);
  input.addEventListener('input', show);
  form.addEventListener('submit', (e) => { e.preventDefault(); found.querySelector('a')?.click(); });
  document.addEventListener('keydown', (e) => {
    if (e.key === '/' && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) { e.preventDefault(); input.focus(); }
    if (e.key === 'Escape') { found.hidden = true; input.blur(); }
  });

  // Diagrams stay text where nothing draws them.
  addEventListener('load', () => {
    if (!window.mermaid) return;
    const blocks = document.querySelectorAll('pre > code.language-mermaid');
    blocks.forEach((c) => { c.parentElement.className = 'drawn mermaid'; c.parentElement.textContent = c.textContent; });
    mermaid.initialize({ startOnLoad: false, theme: matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'neutral' });
    mermaid.run({ querySelector: 'pre.mermaid' });
  });
})();
