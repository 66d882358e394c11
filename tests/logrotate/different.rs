//! Where ours differs from the original on purpose. A case in here that passes fails the test, so
//! that the list cannot rot.

/// Names of cases that differ on purpose, and why; `docs/logrotate-differences.md` has them all.
/// What ours does instead is stated in `cases/hazards.cases` and `tests/plan/classic.rs`.
pub(crate) const DIFFERENT: &[(&str, &str)] = &[
    (
        "acl_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "acl_compress_create",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "mail_fails_last_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "mail_fails_uncompress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "mail_first_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "mail_last_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "mail_uncompress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "names_maxage_compressed",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "names_mixed_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "names_numbered_compress_passes_plain_ones_over",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "names_olddir_compressed",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "names_set_aside_copy_plain",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "old_copies_that_are_hard_links_delayed",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "packages_certificates",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_all_each_log_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_all_shared_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_failing_for_one_postrotate_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_failing_postrotate_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_failing_postrotate_compress_shared",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_failing_preremove_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_failing_preremove_compress_shared",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_failing_prerotate_for_one_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_preremove_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_preremove_refuses_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_preremove_refuses_copytruncate_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_preremove_refuses_delayed",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_preremove_refuses_rotate_0_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "scripts_preremove_rotate_0_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "shred_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    (
        "su_compress",
        "the newest plain copy is in the way of compressed ones, and is not overwritten",
    ),
    ("names_there_already_plain_with_compress", "a plain copy of the same date is not overwritten"),
    ("scripts_one_log_blocked_shared_compress", "a plain copy of the same date is not overwritten"),
    ("names_start_0_rotate_all", "nothing is lost with `start 0` and `rotate -1`"),
    ("names_addextension_global", "`addextension` outside of blocks holds for those below"),
    (
        "methods_copy_with_renamecopy_first",
        "the block is dropped with one message, instead of failing each log",
    ),
    (
        "methods_copy_with_renamecopy_second",
        "the block is dropped with one message, instead of failing each log",
    ),
    ("names_dated_no_field", "the block is dropped with one message, instead of failing each log"),
    ("names_dated_slash", "the block is dropped with one message, instead of failing each log"),
    (
        "names_dated_too_long_as_a_pattern",
        "the block is dropped with one message, instead of failing each log",
    ),
    (
        "names_dated_too_long_as_text",
        "the block is dropped with one message, instead of failing each log",
    ),
    (
        "methods_renamecopy_over_an_old_tmp",
        "what an interrupted renamecopy has left is finished first; the original overwrites it",
    ),
    (
        "scripts_failing_postrotate_renamecopy",
        "what an interrupted renamecopy has left is finished first; the original overwrites it",
    ),
    (
        "scripts_preremove_dated_compressed",
        "as newer than 3.21: prerotate comes before the old copies, and a failing one leaves the state",
    ),
    (
        "scripts_preremove_delayed",
        "as newer than 3.21: prerotate comes before the old copies, and a failing one leaves the state",
    ),
    (
        "scripts_preremove_maxage",
        "as newer than 3.21: prerotate comes before the old copies, and a failing one leaves the state",
    ),
    (
        "state_after_a_failed_prerotate",
        "as newer than 3.21: prerotate comes before the old copies, and a failing one leaves the state",
    ),
    (
        "words_failure_prerotate",
        "as newer than 3.21: prerotate comes before the old copies, and a failing one leaves the state",
    ),
    (
        "words_failure_prerotate_shared",
        "as newer than 3.21: prerotate comes before the old copies, and a failing one leaves the state",
    ),
    (
        "scripts_failing_lastaction_shared",
        "as newer than 3.21: where one log of a shared block fails, the old copies of the others stay",
    ),
    (
        "scripts_failing_postrotate_shared",
        "as newer than 3.21: where one log of a shared block fails, the old copies of the others stay",
    ),
    (
        "scripts_failing_preremove_shared",
        "as newer than 3.21: where one log of a shared block fails, the old copies of the others stay",
    ),
    (
        "words_config_group_writable",
        "as newer than 3.21: a configuration that is refused is an error",
    ),
    (
        "words_config_of_another_user",
        "as newer than 3.21: a configuration that is refused is an error",
    ),
    (
        "values_bad_create_comment",
        "as newer than 3.21: the group is looked up first, and `=` is no mode",
    ),
    (
        "values_bad_create_equals",
        "as newer than 3.21: the group is looked up first, and `=` is no mode",
    ),
    ("syntax_paths_too_long", "as newer than 3.21: a pattern may have 2048 bytes"),
    (
        "state_written_tmp_is_replaced",
        "files in between have a name of our own, and a foreign one is left alone",
    ),
    (
        "scripts_change_the_tree_prerotate_makes_a_copy",
        "a file under a name that a script has made meanwhile is not overwritten",
    ),
    (
        "names_olddir_bad_empty",
        "a brace behind an error ends its block, and the next block is not swallowed",
    ),
    (
        "names_olddir_bad_not_a_folder",
        "a log whose olddir is no folder is not due, and its time is not noted",
    ),
    ("shred_hard_link_allowed", "other names of a file that is shredded keep what they have"),
    ("shred_hard_link_refused", "other names of a file that is shredded keep what they have"),
    (
        "scripts_change_the_tree_postrotate_makes_the_compressed",
        "a file under a name that a script has made meanwhile is left where it is",
    ),
    (
        "scripts_change_the_tree_prerotate_empties_the_log",
        "a log that a script has emptied is as old as that",
    ),
    ("old_copies_that_are_links_dated", "a link in the place of a copy is never deleted"),
    ("old_copies_that_are_links_that_go", "a link in the place of a copy is never deleted"),
    (
        "names_one_olddir_for_two",
        "two logs of one name with one olddir do not share its numbers: the second is refused",
    ),
];
