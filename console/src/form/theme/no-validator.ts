/** Stands for the form library's validator for its own tests, which it would import. */
export default {};
