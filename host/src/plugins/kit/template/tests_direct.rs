
/// Gradient and error below that the script beside the vectors computes in NumPy.
#[test]
fn a_step_is_that_of_the_golden_vectors() {
    let mut trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[]).unwrap();
    trial.set("weight", &golden("weight")).unwrap();
    trial.set("feedback", &golden("feedback")).unwrap();
    let output_error = golden("output_error");
    let grads = trial.backward(&golden("x"), &golden("error"), Some(&output_error)).unwrap();
    assert_close(&grads.own[0].1, &golden("gradient"));
    assert_close(&grads.below.unwrap(), &golden("below"));
}

/// Whatever error arrives from above, the same goes below.
#[test]
fn below_goes_the_error_of_the_output_alone() {
    let trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[]).unwrap();
    let below = |error: &Array| {
        let output_error = golden("output_error");
        let grads = trial.backward(&golden("x"), error, Some(&output_error)).unwrap();
        grads.below.unwrap()
    };
    assert_close(&below(&golden("error")), &below(&Array::noise(1, &[4, 2])));
}
