
/// Gradient and error below that the script beside the vectors computes in NumPy.
#[test]
fn a_step_is_that_of_the_golden_vectors() {
    let mut trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[]).unwrap();
    trial.set("weight", &golden("weight")).unwrap();
    trial.set("feedback", &golden("feedback")).unwrap();
    let grads = trial.backward(&golden("x"), &golden("error"), None).unwrap();
    assert_close(&grads.own[0].1, &golden("gradient"));
    assert_close(&grads.below.unwrap(), &golden("below"));
}

/// The error below does not come through the forward weight.
#[test]
fn the_forward_weight_is_not_transported() {
    let mut trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[]).unwrap();
    let below = |trial: &Trial<{{type}}>| {
        trial.backward(&golden("x"), &golden("error"), None).unwrap().below.unwrap()
    };
    let before = below(&trial);
    trial.set("weight", &golden("weight")).unwrap();
    assert_close(&below(&trial), &before);
}
