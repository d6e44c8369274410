//! The `biorule` command.

fn main() -> ! {
    // Before any thread starts: `RAYON_NUM_THREADS` or the cores there are.
    biorule::threads::setup(0);
    biorule::cli::main(biorule::app::open)
}
