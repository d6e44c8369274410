//! Whole libraries whose opening ends the process: a refusal like any other, and remembered.

use crate::home::{Home, Refused, whole};

/// A library that runs `body` when it is opened. `touch_nothing` reads a page beyond the end of a
/// file, as a library does that was cut off.
fn constructor(body: &str) -> String {
    format!(
        "#include <stdlib.h>\n#include <stdio.h>\n#include <unistd.h>\n#include <signal.h>\n\
         #include <sys/mman.h>\n\
         static void touch_nothing(void) {{ void *p = mmap(0, 1, PROT_READ, MAP_PRIVATE, \
         fileno(tmpfile()), 0); *(volatile char *)p; }}\n\
         __attribute__((constructor)) static void start(void) {{ {body} }}\n"
    )
}

const LIBRARY: &[&str] = &["-shared", "-fPIC"];

fn told<'a>(refused: &'a [Refused], name: &str) -> &'a Refused {
    let found = refused.iter().find(|r| r.path.ends_with(name));
    found.unwrap_or_else(|| panic!("`{name}` is not mentioned in {refused:#?}"))
}

#[test]
fn whatever_a_library_does_when_it_is_opened_the_host_goes_on() {
    let home = Home::new();
    let bodies = [
        ("abort", "abort();", "SIGABRT"),
        ("exit", "exit(0);", "exit code 0"),
        ("exit-3", "_exit(3);", "exit code 3"),
        ("segv", "*(volatile int *)0 = 1;", "SIG"),
        ("bus", "touch_nothing();", "SIGBUS"),
        ("silent", "close(1); abort();", "SIGABRT"),
        ("at-the-end", "atexit(abort);", "SIGABRT"),
        (
            "chatty",
            "printf(\"no end of line\"); fflush(stdout);",
            "plugin symbol is absent",
        ),
    ];
    for (name, body, _) in bodies {
        home.compile(&format!("lib{name}.so"), LIBRARY, &constructor(body));
    }
    std::fs::write(home.plugins().join("libgood.so"), whole()).unwrap();
    // Twice: from a trial, and from what is remembered of it.
    for _ in 0..2 {
        let run = home
            .run(&["rules", "list", "--json", "--plugins", "p"])
            .finish();
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let json = &run.stdout[run.stdout.find('{').unwrap()..];
        let (rules, refused) = crate::home::read(json);
        assert!(rules.contains(&"specimen".to_owned()), "{rules:?}");
        assert!(rules.contains(&"backprop".to_owned()), "{rules:?}");
        assert_eq!(refused.len(), bodies.len(), "{refused:#?}");
        for (name, _, words) in bodies {
            let told = told(&refused, &format!("lib{name}.so"));
            assert!(told.error.contains(words), "{told:?}");
            assert!(!told.hint.is_empty(), "{told:?}");
        }
    }
    let ran = home.train("specimen");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("libabort.so"), "{}", ran.stderr);
    let ran = home.run(&["rules", "check", "p/libsegv.so"]).finish();
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(ran.stderr.contains("SIG"), "{}", ran.stderr);
}

#[test]
fn a_library_that_never_ends_its_start_is_refused_after_a_while() {
    let home = Home::new();
    home.compile("libhang.so", LIBRARY, &constructor("for (;;) sleep(1);"));
    let list = ["rules", "list", "--json", "--plugins", "p"];
    let slow = home.run(&list).env("BIORULE_PLUGIN_SECONDS", "5").stdout();
    let (rules, refused) = crate::home::read(&slow);
    assert!(rules.contains(&"backprop".to_owned()), "{rules:?}");
    assert!(
        told(&refused, "libhang.so").error.contains("within 5 s"),
        "{refused:?}"
    );
}

/// Counts by a file how often the library was opened: on trial alone, once, unless asked again or
/// where there is no place to remember it.
#[test]
fn a_file_is_tried_once() {
    let home = Home::new();
    let log = home.path().join("log");
    let body = format!(
        "FILE *f = fopen(\"{}\", \"a\"); fputs(\"x\\n\", f); fclose(f); abort();",
        log.display()
    );
    let opened = || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .count()
    };
    // The shipped plugins are known by then: nothing but the file itself is tried.
    home.listed();
    home.compile("libcounts.so", LIBRARY, &constructor(&body));
    home.listed();
    assert_eq!(opened(), 1);
    home.listed();
    home.train("backprop");
    assert_eq!(opened(), 1, "the verdict is remembered");
    home.run(&["rules", "check", "p/libcounts.so"]).finish();
    assert_eq!(opened(), 2, "a check tries again");
    let nowhere = home.path().join("file");
    std::fs::write(&nowhere, "").unwrap();
    let list = ["rules", "list", "--json", "--plugins", "p"];
    let run = home.run(&list).env("XDG_CACHE_HOME", &nowhere).finish();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let (rules, refused) = crate::home::read(&run.stdout);
    assert!(rules.contains(&"backprop".to_owned()));
    assert!(told(&refused, "libcounts.so").error.contains("SIGABRT"));
    assert!(opened() > 2, "without a cache each command tries");
}
