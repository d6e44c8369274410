//! A convolution laid out for the inner loop: padded input, offsets, packed weights, destination.
//!
//! The forward map and each stride phase of the input gradient are one [`Map`] each. Work is cut into
//! blocks of positions x panels of output channels; every output is summed by one task in one order,
//! so neither the cut nor the number of threads changes a result.

use super::product::{Pack, Product, Unpack, panel_width};
use crate::geometry::Conv;
use crate::pad::pad_plane;
use crate::real::Real;
use crate::scratch::Buffer;
use crate::threads::{self, Shared};
use std::ops::Range;

/// Positions of a block: its sums stay in the level-1 cache.
pub(crate) const POSITIONS: usize = 256;
/// Bytes of packed weights that one task uses again and again: half of a small level-2 cache.
const WEIGHT_BYTES: usize = 256 << 10;
/// Elements of input or output that are laid out at a time.
const PASS: usize = 1 << 21;

/// Images that are laid out at a time, from sizes alone.
pub(crate) fn images_per_pass(b: usize, per_image: usize) -> usize {
    threads::even_split(b, (PASS / per_image.max(1)).max(1), 1)
}

/// Weights as `[group][panel][step][PANEL]`.
pub(crate) struct Packed<T: Real> {
    data: Buffer<T>,
    panels: usize,
    panel: usize,
    steps: usize,
    units: usize,
}

impl<T: Real> Packed<T> {
    /// Packs `weight: [K, D]`.
    pub(crate) fn forward(g: &Conv, weight: &[T]) -> Self {
        let (d, units) = (g.fan_in(), g.group_out());
        Self::build(g.groups, units, d, |group, first, lanes, to| {
            let from = &weight[(group * units + first) * d..];
            T::vectorised(Pack {
                from,
                stride: d,
                rows: lanes,
                to,
            });
        })
    }

    /// Calls `fill(group, first unit, lanes, [steps][PANEL])` for every panel.
    pub(crate) fn build(
        groups: usize,
        units: usize,
        steps: usize,
        fill: impl Fn(usize, usize, usize, &mut [T]) + Sync + Send,
    ) -> Self {
        let panel = panel_width::<T>();
        let panels = units.div_ceil(panel);
        let mut data = Buffer::new(groups * panels * steps * panel);
        if steps > 0 {
            threads::for_each_chunk(&mut data, steps * panel, |i, to| {
                let first = i % panels * panel;
                fill(i / panels, first, panel.min(units - first), to);
            });
        }
        Self {
            data,
            panels,
            panel,
            steps,
            units,
        }
    }

    fn panel(&self, group: usize, panel: usize) -> &[T] {
        let size = self.steps * self.panel;
        &self.data[(group * self.panels + panel) * size..][..size]
    }
}

/// The images of a pass, padded.
pub(crate) enum Padded<'a, T: Real> {
    Borrowed(&'a [T]),
    Owned(Buffer<T>),
}

impl<'a, T: Real> Padded<'a, T> {
    /// Pads `images` images `x: [C, H, W]` each as `g` says; borrows where there is no padding.
    pub(crate) fn new(g: &Conv, images: usize, h: usize, w: usize, x: &'a [T]) -> Self {
        if g.padding == [0; 4] {
            return Padded::Borrowed(x);
        }
        let (hp, wp) = g.padded_size(h, w);
        let mut data = Buffer::new(images * g.channels * hp * wp);
        let planes = (16_384 / (hp * wp)).max(1);
        threads::for_each_chunk(&mut data, planes * hp * wp, |i, out| {
            for (j, plane) in out.chunks_exact_mut(hp * wp).enumerate() {
                let from = &x[(i * planes + j) * h * w..][..h * w];
                pad_plane(g.pad_mode, g.padding, (h, w), from, plane);
            }
        });
        Padded::Owned(data)
    }

    pub(crate) fn data(&self) -> &[T] {
        match self {
            Padded::Borrowed(x) => x,
            Padded::Owned(x) => x,
        }
    }
}

pub(crate) fn offset(value: usize) -> u32 {
    u32::try_from(value).expect("an image of more than 2^32 elements")
}

/// Offsets of the D kernel taps of a group in a padded image of `hp` x `wp`.
pub(crate) fn tap_offsets(g: &Conv, (hp, wp): (usize, usize)) -> Vec<u32> {
    let taps = (0..g.group_channels()).flat_map(|c| (0..g.kernel[0]).map(move |r| (c, r)));
    let taps = taps.flat_map(|(c, r)| (0..g.kernel[1]).map(move |s| (c, r, s)));
    let place =
        |(c, r, s): (usize, usize, usize)| (c * hp + r * g.dilation[0]) * wp + s * g.dilation[1];
    taps.map(|tap| offset(place(tap))).collect()
}

/// Offsets of the windows of `images` images; `rows` and `cols` are those in one image.
pub(crate) fn position_offsets(
    images: usize,
    image_len: usize,
    wp: usize,
    rows: impl Iterator<Item = usize> + Clone,
    cols: impl Iterator<Item = usize> + Clone,
) -> Vec<u32> {
    let mut out = Vec::new();
    for n in 0..images {
        for row in rows.clone() {
            out.extend(
                cols.clone()
                    .map(|col| offset(n * image_len + row * wp + col)),
            );
        }
    }
    out
}

/// Everything that the inner loop needs to produce output channels.
pub(crate) struct Map<'a, T: Real> {
    /// Padded images.
    pub x: &'a [T],
    /// Elements of `x` from one group's channels to the next.
    pub group_step: usize,
    /// Positions, image after image.
    pub positions: &'a [u32],
    /// Taps.
    pub steps: &'a [u32],
    /// The steps that count for these positions, as ranges in order; the others would multiply zeros.
    pub segments: &'a [Range<usize>],
    pub packed: &'a Packed<T>,
    pub groups: usize,
    /// Positions of one image.
    pub per_image: usize,
    /// Elements of an output plane.
    pub plane: usize,
    /// Where position i of an image goes in the plane; itself if `None`.
    pub places: Option<&'a [u32]>,
}

impl<T: Real> Map<'_, T> {
    /// Panels of all groups.
    fn panels(&self) -> usize {
        self.groups * self.packed.panels
    }

    /// Panels that one task works through for a block of positions.
    fn panels_per_task(&self) -> usize {
        let bytes = self.packed.steps * self.packed.panel * size_of::<T>();
        (WEIGHT_BYTES / bytes.max(1)).clamp(1, self.panels())
    }

    /// Whether one task takes all weights.
    pub(crate) fn fits_one_task(&self) -> bool {
        self.panels_per_task() == self.panels()
    }

    /// Writes every output: `out: [images, groups * units, plane]`.
    pub(crate) fn run(&self, out: &Shared<'_, T>) {
        let many = self.panels_per_task();
        let blocks = self.positions.len().div_ceil(POSITIONS);
        threads::for_each(blocks * self.panels().div_ceil(many), |task| {
            let (first, block) = (task / blocks * many, task % blocks * POSITIONS);
            let positions = block..self.positions.len().min(block + POSITIONS);
            self.block(first..self.panels().min(first + many), positions, out);
        });
    }

    /// Every output of some positions, as `[panels of all groups][position][PANEL]`.
    pub(crate) fn sums(&self, positions: Range<usize>) -> Buffer<T> {
        let size = positions.len() * self.packed.panel;
        let mut sums = Buffer::new(self.panels() * size);
        for (panel, acc) in sums.chunks_exact_mut(size).enumerate() {
            self.product(panel, positions.clone(), acc);
        }
        sums
    }

    fn block(&self, panels: Range<usize>, positions: Range<usize>, out: &Shared<'_, T>) {
        let width = self.packed.panel;
        let mut acc = Buffer::new(positions.len() * width);
        for panel in panels {
            self.product(panel, positions.clone(), &mut acc);
            let (group, panel) = (panel / self.packed.panels, panel % self.packed.panels);
            self.write(group, panel * width, positions.clone(), &acc, out);
        }
    }

    /// The sums of panel number `panel` of all groups, `[position][PANEL]`.
    fn product(&self, panel: usize, positions: Range<usize>, acc: &mut [T]) {
        let (group, panel) = (panel / self.packed.panels, panel % self.packed.panels);
        let (packed, width) = (self.packed.panel(group, panel), self.packed.panel);
        let x = &self.x[group * self.group_step..];
        let rows = &self.positions[positions];
        let Some((first, rest)) = self.segments.split_first() else {
            return acc.fill(T::ZERO);
        };
        let steps = |range: &Range<usize>| {
            let packed = &packed[range.start * width..range.end * width];
            (&self.steps[range.clone()], packed)
        };
        let (some, packed) = steps(first);
        T::vectorised(Product {
            x,
            rows,
            steps: some,
            packed,
            acc,
            add: false,
        });
        for range in rest {
            let (steps, packed) = steps(range);
            T::vectorised(Product {
                x,
                rows,
                steps,
                packed,
                acc,
                add: true,
            });
        }
    }

    /// Writes the sums of one panel, image by image.
    fn write(
        &self,
        group: usize,
        unit: usize,
        positions: Range<usize>,
        acc: &[T],
        out: &Shared<'_, T>,
    ) {
        let width = self.packed.panel;
        let units = self.packed.units;
        let lanes = width.min(units - unit);
        let mut at = positions.start;
        while at < positions.end {
            let (image, i) = (at / self.per_image, at % self.per_image);
            let rows = (self.per_image - i).min(positions.end - at);
            let acc = &acc[(at - positions.start) * width..][..rows * width];
            let from = ((image * self.groups + group) * units + unit) * self.plane;
            match self.places {
                None => T::vectorised(Unpack {
                    acc,
                    lanes,
                    to: out,
                    from: from + i,
                    stride: self.plane,
                    add: false,
                }),
                Some(places) => {
                    let mut first = 0;
                    while first < rows {
                        let run = run_len(&places[i + first..i + rows]);
                        T::vectorised(Unpack {
                            acc: &acc[first * width..(first + run) * width],
                            lanes,
                            to: out,
                            from: from + places[i + first] as usize,
                            stride: self.plane,
                            add: false,
                        });
                        first += run;
                    }
                }
            }
            at += rows;
        }
    }
}

/// How many of the places, from the first, follow each other.
fn run_len(places: &[u32]) -> usize {
    let together = places.windows(2).take_while(|pair| pair[1] == pair[0] + 1);
    together.count() + 1
}
