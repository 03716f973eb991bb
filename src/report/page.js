// Makes the figures of a page answer: values under the pointer, names that hide and show their curves, axes that turn
// linear or logarithmic. Each picture carries its numbers in its <metadata>. Without this script the page is whole.
'use strict';
(() => {
  const make = (tag, attributes, parent, text) => {
    const element = document.createElementNS(parent.namespaceURI, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const minus = (text) => text.replace(/-/g, '−');
  const number = (v) => minus(Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(3) : String(+v.toPrecision(4)));

  const raised = {'-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹'};
  const ticks = (scale, most) => {
    const found = [];
    const decades = Math.log10(scale.high / scale.low);
    if (scale.log && decades > 1) {
      const apart = Math.ceil(decades / most);
      for (let e = Math.ceil(Math.log10(scale.low)); e <= Math.log10(scale.high); ++e) {
        if (e % apart === 0) found.push([10 ** e, '10' + [...String(e)].map((c) => raised[c]).join('')]);
      }
      return found;
    }
    const rough = (scale.high - scale.low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * (1 - 1e-9));
    for (let i = Math.ceil(scale.low / step); i * step <= scale.high; ++i) found.push([i * step, number(i * step)]);
    return found;
  };

  const answer = (image, svg, figure) => {
    image.replaceWith(svg);
    svg.querySelectorAll('title, desc, metadata').forEach((element) => element.remove());
    svg.setAttribute('role', 'group');
    svg.setAttribute('aria-label', image.alt);
    svg.classList.add('curves');
    const hidden = new Set();
    const layer = make('g', {'font-family': 'sans-serif', 'font-size': 10.67}, svg);
    const drawings = figure.panels.map(() => make('g', {}, layer));
    const tip = make('g', {class: 'tip', visibility: 'hidden', 'pointer-events': 'none'}, layer);

    const part = (scale, v) => scale.log ? Math.log(v / scale.low) / Math.log(scale.high / scale.low)
                                         : (v - scale.low) / (scale.high - scale.low);
    const place = (panel, x, y) => {
      const [left, top, right, bottom] = panel.box;
      return [left + (right - left) * part(panel.x, x), bottom - (bottom - top) * part(panel.y, y)];
    };
    const shows = (panel, x, y) => x !== null && y !== null && (!panel.x.log || x > 0) && (!panel.y.log || y > 0);
    const drawn = (panel) => panel.series.filter((s) => !s.names.some((name) => hidden.has(name)));

    const rescale = (panel, axis, log) => {
      let low = Infinity, high = -Infinity;
      for (const s of panel.series) {
        for (const v of axis === 'x' ? s.x : s.y.concat(s.high)) {
          if (v === null || (log && v <= 0)) continue;
          low = Math.min(low, v), high = Math.max(high, v);
        }
      }
      if (!(low < high)) return;
      const margin = log ? (high / low) ** 0.04 : 0.04 * (high - low);
      panel[axis] = log ? {low: low / margin, high: high * margin, log} : {low: low - margin, high: high + margin, log};
    };

    // The panel afresh, over the picture's own.
    const draw = (panel, group) => {
      group.replaceChildren();
      const [left, top, right, bottom] = panel.box, [cover_left, cover_right, cover_bottom] = panel.cover;
      make('rect', {x: cover_left, y: top - 1, width: cover_right - cover_left, height: cover_bottom - top + 1,
                    fill: '#fff'}, group);
      for (const [at, text] of ticks(panel.x, Math.max(2, (right - left) / 45))) {
        const [x] = place(panel, at, panel.y.low);
        make('path', {d: `M${x},${top}V${bottom + 3}`, stroke: '#ddd', 'stroke-width': 0.6}, group);
        make('text', {x, y: bottom + 14, 'text-anchor': 'middle', fill: '#333'}, group, text);
      }
      for (const [at, text] of ticks(panel.y, Math.max(2, (bottom - top) / 22))) {
        const [, y] = place(panel, panel.x.low, at);
        make('path', {d: `M${left - 3},${y}H${right}`, stroke: '#ddd', 'stroke-width': 0.6}, group);
        make('text', {x: left - 5, y: y + 3.5, 'text-anchor': 'end', fill: '#333'}, group, text);
      }
      make('path', {d: `M${left},${top}V${bottom}H${right}`, fill: 'none', stroke: '#333', 'stroke-width': 0.6}, group);
      for (const s of drawn(panel)) {
        let d = '', joined = false, there = [], back = [];
        s.x.forEach((x, i) => {
          const seen = shows(panel, x, s.y[i]);
          if (seen) d += (joined ? 'L' : 'M') + place(panel, x, s.y[i]).map((v) => v.toFixed(2)).join(',');
          joined = seen;
          if (s.high.length && s.high[i] !== null && shows(panel, x, s.high[i])) {
            there.push(place(panel, x, s.high[i]).join(','));
            const low = panel.y.log && !(s.low[i] > 0) ? panel.y.low : Math.max(s.low[i], panel.y.low);
            back.unshift(place(panel, x, low).join(','));
          }
        });
        if (there.length) make('polygon', {points: there.concat(back).join(' '), fill: s.color, opacity: 0.18}, group);
        if (s.line && d) {
          make('path', {d, fill: 'none', stroke: s.color, 'stroke-width': s.width, 'stroke-dasharray': s.dash,
                        'data-name': s.names.join(', ')}, group);
        }
        if (s.markers) {
          s.x.forEach((x, i) => {
            if (!shows(panel, x, s.y[i])) return;
            const [cx, cy] = place(panel, x, s.y[i]);
            make('circle', {cx, cy, r: 2, fill: s.color}, group);
          });
        }
      }
      for (const entry of figure.entries.filter((e) => e.leads && figure.panels[e.panel] === panel)) {
        const s = drawn(panel).find((t) => t.names.includes(entry.name));
        const last = s ? s.x.findLastIndex((x, i) => shows(panel, x, s.y[i])) : -1;
        if (last < 0) continue;
        const [x, y] = place(panel, s.x[last], s.y[last]);
        make('path', {d: `M${x},${y}L${entry.to},${(entry.box[1] + entry.box[3]) / 2}`, stroke: s.color,
                      'stroke-width': 0.8}, group);
      }
    };
    const redraw = () => figure.panels.forEach((panel, i) => draw(panel, drawings[i]));

    for (const entry of figure.entries) {
      const [left, top, right, bottom] = entry.box;
      const button = make('rect', {x: left, y: top, width: right - left, height: bottom - top, fill: '#fff',
                                   'fill-opacity': 0, class: 'name', role: 'button', tabindex: 0,
                                   'aria-label': entry.name, 'aria-pressed': true}, layer);
      const toggle = () => {
        if (!hidden.delete(entry.name)) hidden.add(entry.name);
        button.setAttribute('aria-pressed', !hidden.has(entry.name));
        button.setAttribute('fill-opacity', hidden.has(entry.name) ? 0.7 : 0);
        redraw();
      };
      button.addEventListener('click', toggle);
      button.addEventListener('keydown', (event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return;
        event.preventDefault();
        toggle();
      });
    }

    svg.addEventListener('pointermove', (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      let best = null, least = 15;
      for (const panel of figure.panels) {
        for (const s of drawn(panel)) {
          s.x.forEach((x, i) => {
            if (!shows(panel, x, s.y[i])) return;
            const [px, py] = place(panel, x, s.y[i]);
            const distance = Math.hypot(px - at.x, py - at.y);
            if (distance < least) least = distance, best = {panel, s, i, px, py};
          });
        }
      }
      tip.setAttribute('visibility', best ? 'visible' : 'hidden');
      tip.replaceChildren();
      if (!best) return;
      const {s, i, px, py, panel} = best;
      const lines = [s.names.join(', '), `${panel.x.label || 'x'} ${number(s.x[i])}`, `${panel.y.label || panel.title || 'y'} ${number(s.y[i])}`];
      if (s.high.length && s.high[i] !== null) lines.push(`${number(s.low[i])} to ${number(s.high[i])}`);
      make('circle', {cx: px, cy: py, r: 3, fill: 'none', stroke: '#000'}, tip);
      const shown = lines.filter(Boolean), wide = 12 + 6 * Math.max(...shown.map((l) => l.length));
      const x = px + wide + 8 < figure.width ? px + 8 : Math.max(0, px - wide - 8);
      const y = Math.min(py, figure.height - 13 * shown.length - 8);
      make('rect', {x, y, width: wide, height: 13 * shown.length + 6, rx: 3, fill: '#fff', stroke: '#999'}, tip);
      shown.forEach((line, k) => make('text', {x: x + 5, y: y + 13 * (k + 1)}, tip, line));
    });
    svg.addEventListener('pointerleave', () => tip.setAttribute('visibility', 'hidden'));

    const bar = document.createElement('p');
    bar.className = 'axes';
    for (const axis of ['x', 'y']) {
      const label = document.createElement('label'), box = document.createElement('input');
      box.type = 'checkbox';
      box.name = axis;
      box.checked = figure.panels.every((panel) => panel[axis].log);
      box.indeterminate = !box.checked && figure.panels.some((panel) => panel[axis].log);
      box.addEventListener('change', () => {
        for (const panel of figure.panels) rescale(panel, axis, box.checked);
        redraw();
      });
      label.append(box, ` logarithmic ${axis}`);
      bar.append(label);
    }
    svg.after(bar);
  };

  for (const image of document.querySelectorAll('figure > img')) {
    const text = decodeURIComponent(image.src.slice(image.src.indexOf(',') + 1));
    const svg = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
    const data = svg.querySelector('metadata');
    if (svg.localName === 'svg' && data) answer(image, document.importNode(svg, true), JSON.parse(data.textContent));
  }
})();
