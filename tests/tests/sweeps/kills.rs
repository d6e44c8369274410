//! Sweeps and runs that are killed or stopped, and two sweeps at once: nothing is lost or run twice.

use std::time::Duration;

use biorule_tests::processes::{over, signal, until};
use biorule_tests::searching::json;
use serde_json::Value;

use crate::home::{Home, weights};

#[test]
fn kills_of_runs_and_of_the_sweep_lose_and_repeat_nothing() {
    let top = "trials = 6\nsampler = { kind = \"tpe\", startup = 2 }\nparallel = 2\nseeds = [0, 1]\npruner = { kind = \"median\", startup = 2 }";
    let home = Home::usual(top);
    home.done("whole", &[]);
    // The sweep itself, at three moments.
    for trial in [0, 2, 4] {
        let begun = home.path(&format!("pieces/trials/{trial:06}/trial.json"));
        let mut sweep = home.sweep("pieces", &["--jobs", "2"]).start();
        until("the trial begins", 240, || {
            begun.exists() || over(&mut sweep)
        });
        let _ = sweep.kill();
        sweep.wait().expect("ended");
    }
    // Asked to stop: 75, and the same command goes on.
    let mut sweep = home.sweep("pieces", &["--jobs", "2"]).start();
    std::thread::sleep(Duration::from_millis(400));
    signal("INT", sweep.id());
    let code = sweep.wait().expect("ended").code();
    assert!(matches!(code, Some(0 | 75)), "{code:?}");
    home.done("pieces", &["--jobs", "2"]);
    assert_eq!(home.csv("whole"), home.csv("pieces"));
    let (whole, pieces) = (weights(&home.path("whole")), weights(&home.path("pieces")));
    // One that was given up may have come to its end before it heard of it, in one of the two.
    for (name, bytes) in whole.iter().filter(|(name, _)| pieces.contains_key(*name)) {
        assert!(pieces[name] == *bytes, "{name}");
    }
}

#[test]
fn a_killed_run_goes_on_by_itself() {
    let home = Home::usual("trials = 2");
    home.done("whole", &[]);
    let mut sweep = home.sweep("killed", &[]).start();
    let lock = home.path("killed/trials/000000/seed-0/lock");
    let holder = || {
        std::fs::read_to_string(&lock)
            .ok()
            .filter(|text| !text.is_empty())
    };
    let mut run = None;
    until("a run", 240, || {
        run = holder();
        run.is_some() || over(&mut sweep)
    });
    if let Some(run) = run.and_then(|text| serde_json::from_str::<Value>(&text).ok()) {
        // It may have ended meanwhile.
        signal("KILL", run["pid"].as_u64().expect("a process") as u32);
    }
    assert_eq!(sweep.wait().expect("ended").code(), Some(0));
    assert_eq!(home.csv("whole"), home.csv("killed"));
}

#[test]
fn two_sweeps_on_one_study_do_not_run_a_trial_twice() {
    let home = Home::usual("trials = 3");
    let mut first = home.sweep("here", &[]).start();
    let lock = home.path("here/lock");
    until("the first is in", 240, || {
        std::fs::read_to_string(&lock).is_ok_and(|text| !text.is_empty()) || over(&mut first)
    });
    let second = home.sweep("here", &[]).finish();
    // It may have been over by then.
    assert!(matches!(second.code, Some(0 | 6)), "{}", second.stderr);
    if second.code == Some(6) {
        assert!(
            second.stderr.contains("is in use by process"),
            "{}",
            second.stderr
        );
    }
    assert_eq!(first.wait().expect("ended").code(), Some(0));
    for trial in 0..3 {
        let run = json(&home.path(&format!("here/trials/{trial:06}/seed-0/run.json")));
        assert_eq!(run["starts"], 1);
    }
}
