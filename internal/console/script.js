(() => {
  const live = document.getElementById('live');
  const say = (text) => { live.textContent = text; };
  const copies = (within) => {
    for (const button of within.querySelectorAll('button[data-copy]')) button.hidden = false;
  };
  const select = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('button[data-copy]');
    if (!button) return;
    const code = document.getElementById(button.dataset.copy);
    select(code);
    let done = 'Copied';
    try { await navigator.clipboard.writeText(code.textContent); } catch { done = 'Selected'; }
    button.textContent = done;
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  copies(document);

  // What a person has opened, chosen or is about to type stays.
  const waiting = new Map();
  const busy = (section) => {
    const selection = getSelection();
    const chosen = selection && !selection.isCollapsed && section.contains(selection.anchorNode);
    return chosen || (section.contains(document.activeElement) && document.activeElement.tagName === 'INPUT');
  };
  const put = ({ part, html, title }) => {
    const section = document.getElementById(part);
    if (!section) return;
    if (busy(section)) { waiting.set(part, { part, html, title }); return; }
    waiting.delete(part);
    const news = document.createElement('template');
    news.innerHTML = html;
    if (news.innerHTML === section.innerHTML) return;
    const open = [...section.querySelectorAll('details[open]')].map((d) => d.id);
    const focused = section.contains(document.activeElement) ? document.activeElement : null;
    const at = focused && (focused.id || (focused.closest('details[id]') || {}).id);
    section.innerHTML = html;
    for (const id of open) { const d = document.getElementById(id); if (d) d.open = true; }
    if (at) {
      const again = document.getElementById(at);
      if (again) (again.tagName === 'DETAILS' ? again.querySelector('summary') : again).focus({ preventScroll: true });
    }
    copies(section);
    document.title = title;
  };
  setInterval(() => { for (const news of [...waiting.values()]) put(news); }, 1000);

  const events = new EventSource('/console/events' + location.search);
  events.onopen = () => say('Live');
  events.onmessage = (event) => put(JSON.parse(event.data));
  events.onerror = () => say(events.readyState === EventSource.CLOSED ? 'Not live: load the page again' : 'Not live: trying again');
})();
