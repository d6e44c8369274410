//! Whatever a configuration says, the program ends with one of its exit codes: no panic, no
//! abort, no run without end. Random edits of valid configurations, in process and through the
//! real binary, under a limit of memory.
//!
//! `BIORULE_FUZZ_EDITS`, `BIORULE_FUZZ_RUNS`: how many; `BIORULE_FUZZ_SEED`: which;
//! `BIORULE_FUZZ_CONFIGS`: folders with further configurations to start from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use biorule::app::App;
use biorule::cli::Host as _;
use biorule::config::{self, Sources};
use biorule_tests::Result;
use biorule_tests::fuzz::{Bases, Random};
use biorule_tests::plugins::{self, Run, plugin_folder};

/// Address space of a process under test, KiB.
const MEMORY: &str = "6000000";
/// A process that has not ended after this is taken to hang. A step of a large network on a busy
/// machine takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Set in the process that makes the edits.
const WORKER: &str = "BIORULE_FUZZ_WORKER";

fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn seed() -> u64 {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let drawn = clock.map_or(0, |time| time.as_nanos() as u64);
    let seed = number("BIORULE_FUZZ_SEED", number("PROPTEST_RNG_SEED", drawn));
    println!("seed {seed} (`BIORULE_FUZZ_SEED`)");
    seed
}

/// Codes that the program promises.
fn is_promised(code: i32) -> bool {
    matches!(code, 0 | 2..=7 | 75)
}

/// Edits that are made from one number: it follows from the seed and the edit's place, so that a
/// seed means the same edits on any number of cores.
const CHUNK: u64 = 160;

/// Plans are read, checked and looked at, as `train --dry-run` does, many in one process, and one
/// process for each core.
#[test]
fn no_edit_of_a_plan_panics() -> Result<()> {
    if let Some(file) = std::env::var_os(WORKER) {
        return edit_in_process(Path::new(&file));
    }
    let home = tempfile::tempdir()?;
    let (seed, workers) = (seed(), std::thread::available_parallelism()?.get());
    let file = |worker: usize| home.path().join(format!("edited-{worker}.toml"));
    let mut children = Vec::new();
    for worker in 0..workers {
        let mut command = limited(&std::env::current_exe()?);
        command
            .args(["--exact", "no_edit_of_a_plan_panics", "--nocapture"])
            .env(WORKER, file(worker))
            .env("BIORULE_FUZZ_SHARE", format!("{worker}/{workers}"))
            .env("BIORULE_FUZZ_SEED", seed.to_string())
            .env("BIORULE_PLUGIN_PATH", plugin_folder())
            .env("RAYON_NUM_THREADS", "1")
            .envs(biorule::threads::allocator_variables());
        children.push(command.spawn()?);
    }
    for (worker, child) in children.iter_mut().enumerate() {
        let file = file(worker);
        let last = || std::fs::read_to_string(&file).unwrap_or_default();
        // It writes each edit down before it looks at it.
        let is_idle = || {
            let changed = std::fs::metadata(&file).and_then(|meta| meta.modified());
            changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > PATIENCE))
        };
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if is_idle() {
                child.kill()?;
                child.wait()?;
                panic!("it hangs at\n{}", last());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert!(status.success(), "{status} at\n{}", last());
    }
    Ok(())
}

/// The part of the edits that falls to this process.
fn edit_in_process(file: &Path) -> Result<()> {
    let share = std::env::var("BIORULE_FUZZ_SHARE")?;
    let (worker, workers) = share.split_once('/').expect("a share");
    let (worker, workers): (u64, u64) = (worker.parse()?, workers.parse()?);
    let mine = |n: u64| n % workers == worker;
    let bases = Bases::collect();
    let app = App::discover(&[]);
    let (seed, edits) = (
        number("BIORULE_FUZZ_SEED", 0),
        number("BIORULE_FUZZ_EDITS", 5_000),
    );
    let sources = Sources {
        files: vec![file.to_path_buf()],
        ..Sources::default()
    };
    let mut panics = 0;
    let mut look = |text: &str| -> Result<(i32, String)> {
        std::fs::write(file, text)?;
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let resolved = config::resolve(&sources, &app)?;
            app.inspect(&resolved.plan).map(drop)
        }));
        let (code, words) = match looked {
            Ok(Ok(())) => (0, String::new()),
            Ok(Err(e)) => (e.code as i32, e.to_string()),
            Err(_) => (101, String::new()),
        };
        if !is_promised(code) {
            panics += 1;
            println!("exit {code} for\n{text}\n{words}");
        }
        Ok((code, words))
    };
    // First each as it is: most of them are to be sound, or the edits would test little.
    let (mut sound, mut untouched) = (0, 0);
    for (i, (name, table)) in bases.all.iter().enumerate() {
        if mine(i as u64) {
            let (code, words) = look(&table.to_string())?;
            untouched += 1;
            match code {
                0 => sound += 1,
                _ => println!("exit {code} without an edit: {name}: {words}"),
            }
            app.release();
        }
    }
    assert!(2 * sound > untouched, "{sound} of {untouched} are sound");
    let (mut codes, mut done) = (BTreeMap::<i32, u64>::new(), 0_u64);
    let started = Instant::now();
    let rate = |done: u64| done as f64 / started.elapsed().as_secs_f64();
    for chunk in (0..edits.div_ceil(CHUNK)).filter(|chunk| mine(*chunk)) {
        let mut random = Random(seed.wrapping_add(chunk.wrapping_mul(0xd134_2543_de82_ef95)));
        app.release();
        let chosen = bases.alike(&mut random, CHUNK as usize);
        for base in chosen.into_iter().take((edits - chunk * CHUNK) as usize) {
            let (code, _) = look(&bases.edited(base, &mut random).to_string())?;
            *codes.entry(code).or_default() += 1;
            done += 1;
            if done.is_multiple_of(10_000) {
                println!(
                    "process {worker}: {done} edits, {:.0} a second; by exit code: {codes:?}",
                    rate(done)
                );
            }
        }
    }
    println!(
        "process {worker}: {done} edits of {} configurations ({sound} of {untouched} looked at here are sound), {:.0} a second; by exit code: {codes:?}",
        bases.all.len(),
        rate(done)
    );
    assert_eq!(panics, 0, "edits without a promised exit code");
    Ok(())
}

/// `program` under the limit of memory.
fn limited(program: &Path) -> Command {
    plugins::limited(program, &format!("-v {MEMORY}"))
}

/// The same through the binary, half of them trained for a moment.
#[test]
fn every_edit_ends_the_binary_with_a_promised_code() -> Result<()> {
    let bases = Bases::collect();
    let mut random = Random(seed());
    let runs = number("BIORULE_FUZZ_RUNS", 60);
    let mut codes: BTreeMap<i32, u64> = BTreeMap::new();
    let started = Instant::now();
    for i in 0..runs {
        let home = tempfile::tempdir()?;
        let base = random.below(bases.all.len());
        let text = bases.edited(base, &mut random).to_string();
        std::fs::write(home.path().join("edited.toml"), &text)?;
        let mut arguments = vec!["train", "edited.toml"];
        match i % 2 {
            0 => arguments.push("--dry-run"),
            _ => arguments.extend(["--run-dir", "run", "--quiet"]),
        }
        let (code, words) = end_of(&arguments, home.path())?;
        assert!(
            code.is_some_and(is_promised),
            "{code:?} for {arguments:?}\n{words}\n{text}"
        );
        *codes.entry(code.unwrap_or(-1)).or_default() += 1;
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{runs} runs in {seconds:.0} s; by exit code: {codes:?}");
    Ok(())
}

/// Exit code and words of the binary; asked to stop after a second, as training may be long.
fn end_of(arguments: &[&str], dir: &Path) -> Result<(Option<i32>, String)> {
    let plain = Run::new(Vec::<OsString>::new()).dir(dir).command();
    let mut command = limited(Path::new(plain.get_program()));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let errors = std::fs::File::create(dir.join("stderr"))?;
    let mut child = command
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .process_group(0)
        .spawn()?;
    let trains = !arguments.contains(&"--dry-run");
    let status = match wait(&mut child, Duration::from_secs(1))? {
        Some(status) => Some(status),
        None if !trains => wait(&mut child, PATIENCE)?,
        None => {
            // SAFETY: a signal to a child that has not been waited for.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
            wait(&mut child, PATIENCE)?
        }
    };
    let words = std::fs::read_to_string(dir.join("stderr"))?;
    let Some(status) = status else {
        child.kill()?;
        child.wait()?;
        return Ok((None, format!("it hangs\n{words}")));
    };
    // Before it listens to signals it has nothing to keep.
    if trains && status.signal() == Some(libc::SIGTERM) {
        return Ok((Some(75), words));
    }
    let signal = status.signal().map(|s| format!("signal {s}\n"));
    Ok((status.code(), signal.unwrap_or_default() + &words))
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<std::process::ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}
