//! Ours against the original: every case is run on both, in a folder of the same path, and what
//! is left is compared: names, contents, modes, owners, times, exit status, the state file, what
//! scripts and mailer were told.
//!
//! `LOGQUOTA_UNDER_TEST=ours` or `theirs` runs one alone, and checks what the cases state
//! themselves. `LOGQUOTA_CASE=NAME` runs the cases with that in their name, `LOGQUOTA_SHOW=1`
//! shows what they left. How cases are written is told in `case.rs`.

mod case;
mod clock;
mod compare;
mod different;
mod generated;
mod hazards;
mod look;
mod machine;
mod world;

use compare::check;

/// One test for each file of cases.
macro_rules! files {
    ($($test:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $test() {
                check(include_str!(concat!("cases/", $file, ".cases")));
            }
        )*
        const ALL: &[(&str, &str)] =
            &[$(($file, include_str!(concat!("cases/", $file, ".cases"))),)*];
    };
}

files! {
    its_own_suite_passes: "suite",
    the_rest_of_its_own_suite_passes: "suite_more",
    the_same_logs_are_due: "due",
    old_copies_get_the_same_names: "names",
    the_same_scripts_run: "scripts",
    logs_are_treated_the_same: "methods",
    copies_are_compressed_mailed_and_removed_the_same: "compress",
    files_have_the_same_owners_and_rights: "owners",
    values_mean_the_same: "values",
    configurations_are_read_the_same: "syntax",
    the_same_is_included_and_owned_by_the_same_block: "include",
    the_state_file_is_read_and_written_the_same: "state",
    the_command_line_is_understood_the_same: "flags",
    shapes_of_packages_come_out_the_same: "packages",
    the_same_is_said: "words",
    hazards_are_the_same_or_named: "hazards",
}

#[test]
fn names_of_cases_are_unique_and_the_list_names_only_real_ones() {
    let mut names: Vec<String> =
        ALL.iter().flat_map(|(_, text)| case::cases(text)).map(|case| case.name).collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None);
    for (name, _) in different::DIFFERENT {
        // Those of the machine are named for what is installed.
        let is_known = name.starts_with("machine_") || names.iter().any(|other| other == name);
        assert!(is_known, "there is no case {name}");
    }
}
