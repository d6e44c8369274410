//! The loader's order, resume and bookkeeping.

use super::*;
use crate::data::{DataFolders, DataPlan, Padding};

fn digits(threads: usize, augment: Augment) -> Loader {
    let plan = DataPlan {
        threads,
        prefetch: 2,
        augment,
        ..DataPlan::default()
    };
    let data = plan.open_in(&DataFolders::only(["unused"])).unwrap();
    data.train_loader(50, 11).unwrap()
}
fn lively() -> Augment {
    Augment {
        flip: 0.5,
        crop: 1,
        padding: Padding::Reflect,
        noise: 0.1,
        cutout: 3,
        resized_crop: None,
    }
}

#[test]
fn the_thread_count_changes_nothing() {
    let alone: Vec<Batch> = digits(0, lively()).epoch(3).collect();
    assert_eq!(alone.len(), 26);
    assert_eq!(alone[25].len(), 1297 - 25 * 50);
    for threads in [1, 2, 3, 40] {
        let many: Vec<Batch> = digits(threads, lively()).epoch(3).collect();
        assert!(many == alone, "{threads} threads");
    }
}

/// Threads have a switch each for subnormal numbers, and those of the loader are started by it.
#[test]
fn its_threads_take_subnormal_numbers_as_zero() {
    use biorule_kernels::denormals::set_flush_denormal;
    let values = |threads: usize| -> Vec<f32> {
        let plan = DataPlan {
            set: "sine".into(),
            normalize: crate::data::Scaling::Standard,
            mean: Some(vec![0.0]),
            // The largest angle, pi, becomes 1.05e-38.
            std: Some(vec![3e38]),
            threads,
            ..DataPlan::default()
        };
        let data = plan.open_in(&DataFolders::only(["unused"])).unwrap();
        let batches = data.train_loader(32, 0).unwrap().epoch(0);
        batches.flat_map(|b| b.values).collect()
    };
    // Also of the threads that this one starts, if they took it from here.
    if !set_flush_denormal(false) {
        eprintln!("skipped: this processor has no switch for subnormal numbers");
        return;
    }
    assert!(values(0).iter().any(|&v| v.to_bits() << 1 != 0));
    for threads in [1, 3] {
        assert!(values(threads).iter().all(|&v| v.to_bits() << 1 == 0));
    }
}

#[test]
fn a_resumed_epoch_continues_exactly() {
    let loader = digits(2, lively());
    let whole: Vec<Batch> = loader.epoch(7).collect();
    for start in [0, 1, 13, 25, 26, 99] {
        let rest: Vec<Batch> = loader.start_at(7, start).collect();
        assert!(rest == whole[start.min(26)..], "from {start}");
    }
}

#[test]
fn each_epoch_holds_every_sample_once_in_its_own_order() {
    let loader = digits(1, Augment::default());
    let order = |epoch| {
        loader
            .epoch(epoch)
            .flat_map(|b| b.indices)
            .collect::<Vec<_>>()
    };
    let (mut first, second) = (order(0), order(1));
    assert_ne!(first, second);
    first.sort_unstable();
    assert_eq!(first, (0..1297).collect::<Vec<u32>>());
    let labels = loader.samples().dataset().labels();
    for batch in loader.epoch(0) {
        assert!(
            batch
                .indices
                .iter()
                .zip(&batch.labels)
                .all(|(&i, &l)| labels[i as usize] == l)
        );
    }
}

#[test]
fn drop_last_drops_only_a_partial_batch() {
    let plan = DataPlan {
        drop_last: true,
        limit_train: Some(100),
        ..DataPlan::default()
    };
    let data = plan.open_in(&DataFolders::only(["unused"])).unwrap();
    let sizes = |batch| {
        let loader = data.train_loader(batch, 0).unwrap();
        loader.epoch(0).map(|b| b.len()).collect::<Vec<_>>()
    };
    assert_eq!(sizes(40), [40, 40]);
    assert_eq!(sizes(50), [50, 50]);
    assert!(data.train_loader(101, 0).is_err());
    assert!(data.train_loader(0, 0).is_err());
}

#[test]
fn a_pass_given_up_half_way_ends_its_threads() {
    let loader = digits(2, Augment::default());
    let shared = Arc::strong_count(&loader.recipe);
    let mut batches = loader.epoch(0);
    batches.next().unwrap();
    assert!(Arc::strong_count(&loader.recipe) > shared);
    drop(batches);
    assert_eq!(Arc::strong_count(&loader.recipe), shared);
}

#[test]
fn waiting_is_counted_and_is_a_part_of_the_time() {
    let loader = digits(0, Augment::default());
    assert_eq!(loader.waiting(), Waiting::default());
    assert_eq!(loader.epoch(0).count(), 26);
    let waiting = loader.waiting();
    assert_eq!(waiting.batches, 26);
    assert!(waiting.waited > Duration::ZERO && waiting.waited <= waiting.elapsed);
    assert!((0.0..=1.0).contains(&waiting.fraction()));
}

#[test]
fn regression_batches_carry_targets() {
    let plan = DataPlan {
        set: "sine".into(),
        ..DataPlan::default()
    };
    let data = plan.open_in(&DataFolders::only(["unused"])).unwrap();
    for batch in data.train_loader(32, 0).unwrap().epoch(0) {
        assert!(batch.labels.is_empty());
        assert!(
            batch
                .values
                .iter()
                .zip(&batch.targets)
                .all(|(x, y)| (x.sin() - y).abs() < 1e-6)
        );
    }
}
