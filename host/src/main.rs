//! The `biorule` command.

fn main() -> ! {
    // Before any thread starts. The pools are made once the configuration is read.
    biorule::threads::setup();
    biorule::cli::main(biorule::app::open)
}
