//! One axis of an input gradient: which taps reach which pixels.

use crate::geometry::Conv;
use std::ops::Range;

/// One axis of the padded input, seen from the output.
pub(crate) struct Axis {
    pub stride: usize,
    pub dilation: usize,
    pub kernel: usize,
    /// First pixel of the padded input whose gradient is wanted, and how many.
    pub first: usize,
    pub count: usize,
    /// Zeros in front of `dy`, its size, and its size with zeros on both sides.
    pub before: usize,
    pub out: usize,
    pub size: usize,
}

/// First pixel of the padded input whose gradient is wanted and how many, for rows and columns: where
/// the border's gradient goes nowhere it is not computed.
pub(crate) fn wanted(g: &Conv, h: usize, w: usize) -> [(usize, usize); 2] {
    if g.copies_border() {
        let (hp, wp) = g.padded_size(h, w);
        [(0, hp), (0, wp)]
    } else {
        [(g.padding[0], h), (g.padding[2], w)]
    }
}

impl Axis {
    /// Rows and columns of inputs of `h` x `w`.
    pub(crate) fn both(g: &Conv, h: usize, w: usize) -> [Self; 2] {
        let ((p, q), (hp, wp)) = (g.expect_out(h, w), g.padded_size(h, w));
        let [rows, cols] = wanted(g, h, w);
        [
            Self::new(g, 0, (hp, p), rows),
            Self::new(g, 1, (wp, q), cols),
        ]
    }

    fn new(
        g: &Conv,
        axis: usize,
        (padded, out): (usize, usize),
        (first, count): (usize, usize),
    ) -> Self {
        let (stride, dilation, kernel) = (g.stride[axis], g.dilation[axis], g.kernel[axis]);
        let before = (kernel - 1) * dilation / stride;
        let after = ((padded - 1) / stride + 1).saturating_sub(out);
        Self {
            stride,
            dilation,
            kernel,
            first,
            count,
            before,
            out,
            size: before + out + after,
        }
    }

    /// Taps that reach the pixels of a phase, each with the row of the padded `dy` it reads for pixel
    /// number 0 of the phase.
    pub(crate) fn taps(&self, phase: usize) -> Vec<(usize, usize)> {
        (0..self.kernel)
            .filter(|r| r * self.dilation % self.stride == phase)
            .map(|r| (r, self.before - (r * self.dilation - phase) / self.stride))
            .collect()
    }

    /// The wanted pixels of a phase. With `split` those are together that the same taps reach from
    /// `dy` and not from the zeros around it: in the middle all taps, near a border a few.
    pub(crate) fn zones(&self, phase: usize, split: bool) -> Vec<Zone> {
        let taps = self.taps(phase);
        let inside = self.before..self.before + self.out;
        let mut zones: Vec<Zone> = Vec::new();
        let wanted = self.first..self.first + self.count;
        for pixel in wanted.filter(|pixel| pixel % self.stride == phase) {
            let number = pixel / self.stride;
            // Later taps read earlier rows, so those that reach `dy` follow each other.
            let reaches = |tap: &&(usize, usize)| inside.contains(&(number + tap.1));
            let skipped = taps.iter().take_while(|tap| !reaches(tap)).count();
            let many = taps[skipped..].iter().take_while(reaches).count();
            let taps = match (split, many) {
                (false, _) => 0..taps.len(),
                (true, 0) => 0..0,
                (true, many) => skipped..skipped + many,
            };
            let pixel = (number, pixel - self.first);
            match zones.last_mut() {
                Some(zone) if zone.taps == taps => zone.pixels.push(pixel),
                _ => zones.push(Zone {
                    taps,
                    pixels: vec![pixel],
                }),
            }
        }
        zones
    }
}

/// Neighbouring pixels of an axis that the same taps reach.
pub(crate) struct Zone {
    /// Which of the phase's taps.
    pub taps: Range<usize>,
    /// Number in the phase, and place among the wanted pixels.
    pub pixels: Vec<(usize, usize)>,
}
