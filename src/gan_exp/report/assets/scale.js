// Axes: from values to pixels, and the numbers beside them.
function makeScale(domain, range, logarithmic) {
  const forward = logarithmic ? Math.log10 : (value) => value;
  const back = logarithmic ? (value) => 10 ** value : (value) => value;
  const [low, high] = domain.map(forward);
  const slope = (range[1] - range[0]) / (high - low || 1);
  return {
    at: (value) => range[0] + (forward(value) - low) * slope,
    value: (place) => back(low + (place - range[0]) / slope),
    ticks: (count) => (logarithmic ? logTicks(domain, count) : linearTicks(domain, count)),
    domain,
  };
}

function linearTicks([low, high], count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.999) || power;
  const found = [];
  for (let number = Math.ceil(low / step - 1e-9); number * step <= high + step * 1e-9; number += 1) {
    found.push(Number((number * step).toPrecision(12)));
  }
  return found;
}

function logTicks([low, high], count) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const every = Math.max(1, Math.ceil((last - first) / Math.max(1, count)));
  const factors = last - first <= 1 ? [1, 2, 3, 5, 7] : last - first <= 2 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = first; power <= last; power += every) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(12));
      if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
    }
  }
  return found.length >= 2 ? found : linearTicks([low, high], count);
}

// The lowest and highest value with some room; a logarithmic axis only where values are positive.
function extent(values, logarithmic) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || (logarithmic && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return null;
  if (logarithmic) return low === high ? [low / 2, high * 2] : [low / 1.1, high * 1.1];
  const room = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * 0.06;
  const nearZero = low >= 0 && low <= (high - low) * 0.15;
  return [nearZero ? 0 : low - room, high + room];
}
