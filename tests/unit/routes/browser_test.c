#include "unit/test.h"

#include "routes/browser.h"

static const char *const names[] = {"ai.example.org", "Other.Example."};

static bool knows(const char *host) { return ag_browser_knows_host(host, "Box", names, 2); }

static void names_that_no_page_can_make_up_are_known(void **state) {
    (void)state;
    static const char *const hosts[] = {NULL,
                                        "",
                                        "127.0.0.1",
                                        "127.0.0.1:8000",
                                        "192.0.2.7:80",
                                        "127.0.0.1.",
                                        "[::1]",
                                        "[::1]:8000",
                                        "[2001:db8::7]:8000",
                                        "localhost",
                                        "LocalHost:8000",
                                        "localhost.:8000",
                                        "localhost:",
                                        "app.localhost:3000",
                                        "a.b.LOCALHOST.",
                                        "box",
                                        "BOX.:8000",
                                        "ai.example.org",
                                        "AI.example.org.:443",
                                        "other.example:80"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (!knows(hosts[i]))
            fail_msg("%s", hosts[i]);
}

static void names_that_could_lead_here_from_outside_are_not(void **state) {
    (void)state;
    static const char *const hosts[] = {"evil.example",
                                        "evil.example:8000",
                                        "localhost.evil.example",
                                        "evillocalhost",
                                        ".localhost",
                                        "127.0.0.1.evil.example",
                                        "127.evil.example:80",
                                        "[::1].evil.example",
                                        "[evil.example]:80",
                                        "[127.0.0.1]",
                                        "[::1",
                                        "[::1]:evil",
                                        "[::1]:80.evil.example",
                                        "[::1].",
                                        "localhost:evil.example",
                                        "localhost:80:evil.example",
                                        "127.0.0.1:evil.example",
                                        "box:80x",
                                        "x.box",
                                        "box.evil.example",
                                        "x.ai.example.org",
                                        "ai.example.or",
                                        "ai.example.orgs",
                                        "ai.example.org..",
                                        ".",
                                        ":8000"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (knows(hosts[i]))
            fail_msg("%s", hosts[i]);
}

static void a_machine_without_a_name_has_none(void **state) {
    (void)state;
    assert_false(ag_browser_knows_host(":80", "", NULL, 0));
    assert_false(ag_browser_knows_host("box", "", NULL, 0));
    assert_true(ag_browser_knows_host("localhost", "", NULL, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_no_page_can_make_up_are_known),
        cmocka_unit_test(names_that_could_lead_here_from_outside_are_not),
        cmocka_unit_test(a_machine_without_a_name_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
