//! Classes of neurons (SoftHebb, `engine.py`; softhebb.md 5.2): a dense layer that
//! learned without labels is scored by giving each neuron the class that it wins
//! most often.

/// The class of each neuron, from `winners: [N]`, `activity: [N, K]` and the samples'
/// `classes: [N]`. A neuron that never wins takes the class with its largest summed
/// activity; the first class on ties.
pub fn label_neurons(
    winners: &[u32],
    activity: &[f64],
    classes: &[u32],
    neurons: usize,
    count: usize,
) -> Vec<u32> {
    let mut wins = vec![0.0; neurons * count];
    let mut heard = vec![0.0; neurons * count];
    for (sample, (&winner, &class)) in winners.iter().zip(classes).enumerate() {
        wins[winner as usize * count + class as usize] += 1.0;
        for (k, y) in activity[sample * neurons..][..neurons].iter().enumerate() {
            heard[k * count + class as usize] += y;
        }
    }
    (0..neurons)
        .map(|k| {
            let won = &wins[k * count..][..count];
            let row = if won.iter().all(|w| *w == 0.0) {
                &heard[k * count..][..count]
            } else {
                won
            };
            let best = (0..count).rev().max_by(|&a, &b| row[a].total_cmp(&row[b]));
            best.unwrap_or(0) as u32
        })
        .collect()
}

/// Share of samples whose winner has their class.
pub fn neuron_accuracy(winners: &[u32], classes: &[u32], labels: &[u32]) -> f64 {
    let right = winners
        .iter()
        .zip(classes)
        .filter(|(w, c)| labels[**w as usize] == **c)
        .count();
    right as f64 / winners.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_neuron_takes_the_class_it_hears_most() {
        let activity = [0.6, 0.3, 0.1, 0.1, 0.5, 0.4, 0.2, 0.7, 0.1];
        let labels = label_neurons(&[0, 1, 1], &activity, &[0, 2, 2], 3, 3);
        assert_eq!(labels, [0, 2, 2]);
        assert_eq!(neuron_accuracy(&[0, 1, 2], &[0, 2, 0], &labels), 2.0 / 3.0);
    }
}
