#include "unit/grammar/support.h"

typedef struct row {
    const char *schema;
    const char *yes[8], *no[8];
} row;

#define PERSON                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":"       \
    "\"integer\"},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"

static const row rows[] = {
    {"true", {"null", "[]", "{\"a\": [1.5e3, true]}", "\"x\"", "-0.25"}, {"", "nul", "[1,]", "01"}},
    {"{}", {"1", "{}"}, {"x"}},
    {"{\"type\":\"object\"}",
     {"{}", "{ }", "{\"a\":1, \"b\":{\"c\":[]}}", "{\n  \"a\": 1\n}"},
     {"[]", "{\"a\"}", "{\"a\":1,}", "{  }", "{\"a\" :1}"}},
    {PERSON "\"required\":[\"name\",\"age\"],\"additionalProperties\":false}",
     {"{\"name\":\"x\",\"age\":3}", "{\"name\": \"é\\n\", \"age\": -12, \"tags\": [\"a\", \"b\"]}",
      "{\"name\":\"\",\"age\":0,\"tags\":[]}"},
     {"{}", "{\"name\":\"x\"}", "{\"age\":3,\"name\":\"x\"}", "{\"name\":\"x\",\"age\":3.5}",
      "{\"name\":\"x\",\"age\":3,\"z\":1}", "{\"name\":1,\"age\":3}"}},
    {PERSON "\"additionalProperties\":false}",
     {"{}", "{\"age\":1}", "{\"name\":\"x\",\"tags\":[\"a\"]}", "{\"tags\":[]}"},
     {"{\"tags\":[],\"age\":1}", "{,\"age\":1}", "{\"age\":1,}"}},
    {PERSON "\"required\":[\"tags\"],\"additionalProperties\":{\"type\":\"boolean\"}}",
     {"{\"tags\":[]}", "{\"age\":1,\"tags\":[],\"other\":true,\"z\":false}",
      "{\"tags\":[],\"nam\":true,\"names\":true,\"\":true,\"\\n\":false}"},
     {"{\"tags\":[],\"name\":true}", "{\"tags\":[],\"other\":1}", "{\"other\":true,\"tags\":[]}"}},
    {"{\"type\":\"object\",\"required\":[\"b\",\"a\"],\"properties\":{\"a\":{\"const\":1}}}",
     {"{\"a\":1,\"b\":[null]}"},
     {"{\"a\":1}", "{\"b\":1}", "{\"b\":1,\"a\":1}"}},
    {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},\"minProperties\":1,"
     "\"maxProperties\":2}",
     {"{\"a\":1}", "{\"a\":1,\"b\":2}"},
     {"{}", "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":true}"}},
    {PERSON "\"minProperties\":2,\"additionalProperties\":false}",
     {"{\"name\":\"x\",\"age\":1}", "{\"age\":1,\"tags\":[]}",
      "{\"name\":\"\",\"age\":1,\"tags\":[]}"},
     {"{}", "{\"age\":1}"}},
    {PERSON "\"maxProperties\":1,\"additionalProperties\":false}",
     {"{}", "{\"age\":1}", "{\"tags\":[]}"},
     {"{\"name\":\"x\",\"age\":1}"}},
    {"{\"type\":\"object\",\"patternProperties\":{\"^n_\":{\"type\":\"integer\"},\"^s_\":{\"type\":"
     "\"string\"}},\"additionalProperties\":false}",
     {"{}", "{\"n_a\":1}", "{\"n_\":1,\"s_x\":\"y\",\"n_b\":2}"},
     {"{\"n_a\":\"x\"}", "{\"a\":1}", "{\"s_a\":1}"}},
    {"{\"type\":\"object\",\"properties\":{\"n_x\":{\"minimum\":5}},\"patternProperties\":{\"^n_\":"
     "{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"null\"}}",
     {"{\"n_x\":5,\"n_y\":1,\"z\":null}"},
     {"{\"n_x\":4}", "{\"n_x\":5.5}", "{\"n_y\":null}"}},
    {"{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[a-z]{2}$\"},\"additionalProperties\":"
     "{\"type\":\"integer\"}}",
     {"{}", "{\"de\":1,\"fr\":2}"},
     {"{\"d\":1}", "{\"DE\":1}"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}",
     {"[]", "[1]", "[1, 2,3]", "[\n1\n]"},
     {"[1,]", "[true]", "[,1]", "{}"}},
    {"{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":2,\"maxItems\":3}",
     {"[true,false]", "[true,true,true]"},
     {"[]", "[true]", "[true,true,true,true]"}},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":"
     "false,\"minItems\":1}",
     {"[1]", "[1,\"a\"]"},
     {"[]", "[\"a\"]", "[1,\"a\",2]"}},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},"
     "\"minItems\":3,\"maxItems\":4}",
     {"[1,null,null]", "[1,null,null,null]"},
     {"[1,null]", "[1,null,null,null,null]"}},
    {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
     {"\"ab\"", "\"日本語\"", "\"\\u00e9\\n\"", "\"\\ud83d\\ude00x\"", "\"🙂🙂\""},
     {"\"a\"", "\"abcd\"", "\"\\ud83d\\ude00\"", "\"\\ud83dab\"", "\"\\ude00ab\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[A-Z][a-z]+$\"}",
     {"\"Ab\"", "\"Hello\""},
     {"\"ab\"", "\"A\"", "\"AB\"", "\"\""}},
    {"{\"type\":\"string\",\"pattern\":\"b\"}",
     {"\"b\"", "\"abc\"", "\"\\n b\""},
     {"\"\"", "\"ac\""}},
    {"{\"type\":\"string\",\"pattern\":\"^a|b$\"}",
     {"\"a\"", "\"axx\"", "\"xb\"", "\"b\""},
     {"\"xa\"", "\"bx\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[\\\"\\\\\\\\/\\n]+$\"}",
     {"\"\\\"\"", "\"\\\\\\n/\""},
     {"\"\"\"", "\"a\"", "\"\\/\""}},
    {"{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"maxLength\":3}",
     {"\"a\"", "\"abc\""},
     {"\"\"", "\"abcd\"", "\"A\""}},
    {"{\"type\":\"string\",\"format\":\"date\"}",
     {"\"2024-02-29\"", "\"1999-12-31\"", "\"2000-02-29\""},
     {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"24-01-01\""}},
    {"{\"type\":\"string\",\"format\":\"date-time\"}",
     {"\"2024-02-29T12:00:00Z\"", "\"2024-01-01T23:59:59.123+02:00\""},
     {"\"2024-02-29\"", "\"2024-01-01T24:00:00Z\"", "\"2024-01-01T12:00:00\""}},
    {"{\"type\":\"string\",\"format\":\"uuid\"}",
     {"\"123e4567-e89b-12d3-a456-426614174000\""},
     {"\"123e4567\"", "\"123e4567-e89b-12d3-a456-42661417400g\""}},
    {"{\"type\":\"string\",\"format\":\"ipv4\"}",
     {"\"127.0.0.1\"", "\"255.255.255.0\""},
     {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""}},
    {"{\"type\":\"string\",\"format\":\"ipv6\"}",
     {"\"::1\"", "\"2001:db8::8:800:200c:417a\"", "\"::\""},
     {"\"1:2\"", "\":::\"", "\"1:2:3:4:5:6:7:8:9\""}},
    {"{\"type\":\"string\",\"format\":\"email\"}",
     {"\"me@example.com\"", "\"a.b+c@d-e.org\""},
     {"\"me\"", "\"@x.com\"", "\"a@-x.com\""}},
    {"{\"type\":\"string\",\"format\":\"duration\"}",
     {"\"P1Y2M\"", "\"PT5M\"", "\"P3W\"", "\"P1DT2H\""},
     {"\"P\"", "\"PT\"", "\"1Y\""}},
    {"{\"type\":\"string\",\"format\":\"uri\"}",
     {"\"https://a.org/x?y=1#z\""},
     {"\"a b\"", "\"/x\""}},
    {"{\"type\":\"integer\",\"minimum\":-5,\"maximum\":12}",
     {"-5", "-1", "0", "9", "10", "12"},
     {"-6", "13", "-0", "00", "1.0", "100"}},
    {"{\"type\":\"integer\",\"minimum\":95,\"maximum\":1203}",
     {"95", "99", "100", "999", "1000", "1199", "1203"},
     {"94", "1204", "1300", "9", "12030"}},
    {"{\"type\":\"integer\",\"exclusiveMinimum\":0}", {"1", "10", "99999"}, {"0", "-1", "01"}},
    {"{\"type\":\"integer\",\"maximum\":-3}", {"-3", "-10", "-4"}, {"-2", "0", "3", "-03"}},
    {"{\"type\":\"integer\",\"minimum\":1.5,\"exclusiveMaximum\":3.2}", {"2", "3"}, {"1", "4"}},
    {"{\"type\":\"integer\",\"multipleOf\":7}", {"0", "7", "-14", "700"}, {"1", "71", "-0", "07"}},
    {"{\"type\":\"integer\",\"multipleOf\":25,\"minimum\":50,\"maximum\":120}",
     {"50", "75", "100"},
     {"25", "60", "125"}},
    {"{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
     {"0", "1", "0.5", "0.999", "1.0", "0.0", "1.000"},
     {"-0.1", "1.1", "1.0001", "2", "1e0"}},
    {"{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":0.25}",
     {"0.1", "0.2499", "0.001"},
     {"0", "0.0", "0.25", "0.3", "0.250", "-0.1"}},
    {"{\"type\":\"number\",\"minimum\":-1.5,\"maximum\":-0.25}",
     {"-1.5", "-1", "-0.25", "-0.3"},
     {"-1.51", "-0.24", "0", "-2", "-0.2"}},
    {"{\"type\":\"number\",\"minimum\":2.75,\"maximum\":2.8}",
     {"2.75", "2.8", "2.799", "2.80"},
     {"2.7", "2.81", "2", "3"}},
    {"{\"type\":\"number\",\"multipleOf\":0.01}", {"1", "1.5", "-0.25"}, {"0.125"}},
    {"{\"type\":[\"string\",\"null\"]}", {"null", "\"\""}, {"1"}},
    {"{\"type\":\"boolean\"}", {"true", "false"}, {"null"}},
    {"{\"type\":\"integer\",\"nullable\":true}", {"1", "null"}, {"\"a\""}},
    {"{\"enum\":[\"a\",\"b\\n\",1,null,[1,{\"x\":2}],1.5,2.0]}",
     {"\"a\"", "\"b\\n\"", "1", "null", "[1, {\"x\": 2}]", "1.5", "2", "2.0"},
     {"\"c\"", "2.5", "[]"}},
    {"{\"type\":\"string\",\"enum\":[\"abc\",\"de\",3],\"maxLength\":2}",
     {"\"de\""},
     {"\"abc\"", "3"}},
    {"{\"const\":{\"a\":[true]}}", {"{\"a\":[true]}", "{\"a\": [true]}"}, {"{}"}},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":1}]}",
     {"12", "\"a\""},
     {"\"ab\"", "true"}},
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":"
     "\"integer\"}},"
     "\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"additionalProperties\":false}",
     {"{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"b\":2}"},
     {"{}"}},
    {"{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":["
     "\"a\"]},"
     "{\"properties\":{\"a\":{\"minimum\":3},\"b\":{\"type\":\"null\"}},\"required\":[\"b\"]}]}",
     {"{\"a\":3,\"b\":null}"},
     {"{\"a\":2,\"b\":null}", "{\"a\":3}"}},
    {"{\"allOf\":[{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]},{\"anyOf\":[{\"type\":"
     "\"string\"},"
     "{\"type\":\"null\"}]}]}",
     {"\"x\""},
     {"1", "null"}},
    {"{\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},"
     "\"next\":"
     "{\"anyOf\":[{\"$ref\":\"#/$defs/node\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"],"
     "\"additionalProperties\":false}},\"$ref\":\"#/$defs/node\"}",
     {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":{\"v\":3,\"next\":null}}}"},
     {"{\"v\":1}", "{\"v\":1,\"next\":{}}"}},
    {"{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}", {"[]", "[[],[[]]]"}, {"[1]"}},
    {"{\"definitions\":{\"a/b\":{\"type\":\"integer\"},\"c~d\":{\"$ref\":\"#/definitions/a~1b\"}},"
     "\"$ref\":\"#/definitions/c~0d\",\"description\":\"x\"}",
     {"1"},
     {"\"a\""}},
    {"{\"$ref\":\"#/$defs/"
     "s\",\"maxLength\":2,\"$defs\":{\"s\":{\"type\":\"string\",\"minLength\":1}}}",
     {"\"a\"", "\"ab\""},
     {"\"\"", "\"abc\""}},
    {"{\"title\":\"T\",\"default\":1,\"examples\":[2],\"type\":\"integer\",\"x-other\":{}}",
     {"1"},
     {"\"\""}},
};

static void allows_what_it_should(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 5);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ag_grammar *g = compile(AG_STRUCTURE_JSON_SCHEMA, rows[i].schema);
        for (size_t k = 0; k < 8 && rows[i].yes[k]; k++) {
            if (!takes(g, rows[i].yes[k]))
                fail_msg("%s should be allowed by\n%s", rows[i].yes[k], rows[i].schema);
            check_never_masked(g, rows[i].yes[k], &rng);
            check_never_masked(g, rows[i].yes[k], &rng);
        }
        for (size_t k = 0; k < 8 && rows[i].no[k]; k++)
            if (takes(g, rows[i].no[k]))
                fail_msg("%s should not be allowed by\n%s", rows[i].no[k], rows[i].schema);
        ag_grammar_unref(g);
    }
}

static void masks_are_what_accepting_says(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 6);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ag_grammar *g = compile(AG_STRUCTURE_JSON_SCHEMA, rows[i].schema);
        for (int k = 0; k < 3; k++) {
            ag_buf text;
            ag_buf_init(&text, AG_ROOM_TEST, 1 << 16);
            walk_at_random(g, &rng, 15, &text);
            ag_buf_deinit(&text);
        }
        ag_grammar_unref(g);
    }
}

static void any_object(void **state) {
    (void)state;
    ag_grammar *g = compile(AG_STRUCTURE_JSON_OBJECT, NULL);
    assert_true(takes(g, "{}"));
    assert_true(takes(g, "{\"a\": [1, {\"b\": \"c\"}], \"d\": null}"));
    assert_false(takes(g, "[]"));
    assert_false(takes(g, "{\"a\": 1} "));
    ag_grammar_unref(g);
}

static void schemas_in_grammars(void **state) {
    (void)state;
    ag_grammar *g =
        compile(AG_STRUCTURE_GRAMMAR,
                "root ::= \"<tool>\" %json{\"type\":\"object\",\"properties\":{\"x\":{\"type\":"
                "\"integer\"}},\"required\":[\"x\"]} \"</tool>\" (\"\\n\" root)?");
    assert_true(takes(g, "<tool>{\"x\": 1}</tool>"));
    assert_true(takes(g, "<tool>{\"x\": 1}</tool>\n<tool>{\"x\":-2}</tool>"));
    assert_false(takes(g, "<tool>{}</tool>"));
    ag_grammar_unref(g);
    const char *why = why_not(AG_STRUCTURE_GRAMMAR,
                              "root ::= a\na ::= %json {\"properties\":{\"a\":{\"type\":1}}}");
    assert_non_null(strstr(why, "line 2, %json: #/properties/a/type: expected object"));
}

/* Impossible where it may not be left out. What may be is no reason to refuse, and not to blame. */
static void what_nothing_fulfils_is_told_by_its_place(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"\"a\":{\"minItems\":3,\"maxItems\":2}", "#/properties/a/minItems: it is above maxItems"},
        {"\"a\":{\"items\":false,\"minItems\":1}", "#/properties/a/minItems: there cannot be"},
        {"\"a\":{\"minProperties\":3,\"maxProperties\":2}",
         "#/properties/a/minProperties: it is above maxProperties"},
        {"\"a\":{\"properties\":{\"b\":{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}},"
         "\"required\":[\"b\"]}",
         "#/properties/a/properties/b: no value fulfils it"},
        {"\"a\":{\"pattern\":\"^abc$\",\"maxLength\":2}", "#/properties/a: no value fulfils it"},
        {"\"a\":{\"anyOf\":[false,{\"type\":\"integer\",\"minimum\":5,\"maximum\":3}]}",
         "#/properties/a/anyOf: no value fulfils any of it"},
        {"\"a\":{\"minItems\":1,\"items\":{\"multipleOf\":10,\"minimum\":11,\"maximum\":19}}",
         "#/properties/a/items: no value fulfils it"},
        {"\"a\":{\"$ref\":\"#/$defs/none\"}", "#/$defs/none/minLength: it is above maxLength"},
        {"\"a\":{\"$ref\":\"#/$defs/p\"}",
         "#/$defs/p: its values would hold each other without end"},
        {"\"a\":{\"properties\":{\"b\":{}},\"required\":[\"c\"],\"additionalProperties\":false}",
         "#/properties/a/required: it names what additionalProperties forbids"},
        {"\"a\":{\"properties\":{\"b\":{}},\"required\":[\"b\"],\"propertyNames\":{\"pattern\":"
         "\"^x\"}}",
         "#/properties/a/properties/b: propertyNames forbids the name"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[1024];
        snprintf(
            text, sizeof text,
            "{\"type\":\"object\",\"properties\":{\"left\":false,\"out\":{\"$ref\":\"#/$defs/p\"},"
            "%s},\"required\":[\"a\"],\"$defs\":{\"none\":{\"minLength\":5,\"maxLength\":3},"
            "\"p\":{\"prefixItems\":[{\"$ref\":\"#/$defs/q\"}],\"minItems\":1},"
            "\"q\":{\"prefixItems\":[{\"$ref\":\"#/$defs/p\"}],\"minItems\":1}}}",
            bad[i][0]);
        const char *msg = why_not(AG_STRUCTURE_JSON_SCHEMA, text);
        if (!strstr(msg, bad[i][1]))
            fail_msg("%s: \"%s\", expected \"%s\"", text, msg, bad[i][1]);
    }
    const char *one =
        why_not(AG_STRUCTURE_GRAMMAR, "root ::= \"a\" | %json {\"items\":false,\"minItems\":1}");
    assert_non_null(strstr(one, "line 1, %json: #/minItems: there cannot be so many"));
}

static void refusals_say_where(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"{", "#: it is not valid JSON: line 1"},
        {"{\"a\":1,\"a\":2}", "#: it is not valid JSON"},
        {"3", "#: a schema is an object"},
        {"false", "#: false allows no value"},
        {"{\"type\":\"strin\"}", "#/type: expected object"},
        {"{\"properties\":{\"a\":{\"pattern\":\"a(\"}}}",
         "#/properties/a/pattern: position 1: the group"},
        {"{\"properties\":{\"a/b~c\":{\"pattern\":\"(?=a)\"}}}",
         "#/properties/a~1b~0c/pattern: position 0"},
        {"{\"properties\":{\"\":{\"type\":\"strin\"}}}", "#/properties//type: expected object"},
        {"{\"items\":{\"not\":{}}}", "#/items/not: this keyword is not supported"},
        {"{\"anyOf\":[{\"type\":\"null\"},{\"uniqueItems\":true}]}", "#/anyOf/1/uniqueItems"},
        {"{\"$ref\":\"http://x/y\"}", "#/$ref: only references into this schema"},
        {"{\"$ref\":\"#/nope\"}", "#/$ref: \"#/nope\" does not exist"},
        {"{\"$ref\":\"#\"}", "#: its values would hold"},
        {"{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
         "#/properties/a: its values would hold each other without end"},
        {"{\"enum\":[]}", "#/enum: expected an array"},
        {"{\"enum\":[1],\"type\":\"string\"}", "#/enum: no value fulfils"},
        {"{\"minItems\":-1}", "#/minItems: expected a whole number"},
        {"{\"minLength\":5,\"maxLength\":3}", "#/minLength: it is above maxLength"},
        {"{\"minimum\":5,\"maximum\":3}", "#: no value fulfils it"},
        {"{\"minimum\":\"5\"}", "#/minimum: expected a number"},
        {"{\"type\":\"number\",\"multipleOf\":0.3}", "#/multipleOf: supported are"},
        {"{\"items\":{\"type\":\"string\",\"maxLength\":9999999}}",
         "#/items: a repetition of 9999999"},
        {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}",
         "#/allOf/1/pattern: schemas that differ"},
        {"{\"$defs\":{\"x\":{\"type\":\"stirng\"}},\"$ref\":\"#/$defs/x\"}", "#/$defs/x/type"},
        {"{\"allOf\":[{\"$ref\":\"#\"}]}", "#"},
        {"{\"required\":\"a\"}", "#/required: expected an array"},
        {"{\"properties\":[]}", "#/properties: expected an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *msg = why_not(AG_STRUCTURE_JSON_SCHEMA, bad[i][0]);
        if (!strstr(msg, bad[i][1]))
            fail_msg("%s: \"%s\", expected \"%s\"", bad[i][0], msg, bad[i][1]);
    }
}

/* What users' programs make: many properties, deep nesting, long lists of values. Each takes some
 * milliseconds; what is beyond the bounds is refused as quickly. */
static void large_schemas(void **state) {
    (void)state;
    ag_buf text;
    for (int optional = 0; optional < 2; optional++) {
        ag_buf_init(&text, AG_ROOM_TEST, 1 << 22);
        ag_buf_adds(&text, "{\"type\":\"object\",\"properties\":{");
        for (int i = 0; i < 1000; i++)
            ag_buf_addf(&text, "%s\"p%d\":{\"enum\":[\"value %d\",%d,null]}", i ? "," : "", i, i,
                        i);
        ag_buf_adds(&text, "},\"required\":[");
        for (int i = 0; i < (optional ? 1 : 1000); i++)
            ag_buf_addf(&text, "%s\"p%d\"", i ? "," : "", i);
        ag_buf_adds(&text, "]}");
        ag_grammar *g = compile(AG_STRUCTURE_JSON_SCHEMA, ag_buf_cstr(&text));
        assert_int_equal(takes(g, "{\"p0\":\"value 0\",\"p999\":999}"), optional);
        ag_grammar_unref(g);
        ag_buf_deinit(&text);
    }
    for (int depth = 50; depth <= 5000; depth *= 100) {
        ag_buf_init(&text, AG_ROOM_TEST, 1 << 22);
        for (int i = 0; i < depth; i++)
            ag_buf_adds(&text, "{\"type\":\"array\",\"items\":");
        ag_buf_adds(&text, "{\"type\":\"null\"}");
        for (int i = 0; i < depth; i++)
            ag_buf_adds(&text, "}");
        if (depth == 50) {
            ag_grammar *g = compile(AG_STRUCTURE_JSON_SCHEMA, ag_buf_cstr(&text));
            assert_true(takes(g, "[[[],[[]]]]"));
            ag_grammar_unref(g);
        } else {
            assert_non_null(strstr(why_not(AG_STRUCTURE_JSON_SCHEMA, ag_buf_cstr(&text)), "#"));
        }
        ag_buf_deinit(&text);
    }
}

/* Each object costs as much as the one before it, whatever else it allows. */
static void many_objects_of_optional_properties(void **state) {
    (void)state;
    for (int others = 0; others < 2; others++) {
        ag_buf text;
        ag_buf_init(&text, AG_ROOM_TEST, 1 << 22);
        ag_buf_adds(&text, "{\"type\":\"object\",\"properties\":{");
        for (int i = 0; i < 300; i++) {
            ag_buf_addf(&text,
                        "%s\"o%d\":{\"type\":\"object\",\"additionalProperties\":%s,"
                        "\"properties\":{",
                        i ? "," : "", i, others ? "true" : "false");
            for (int k = 0; k < 10; k++)
                ag_buf_addf(&text, "%s\"p%d\":{\"type\":\"%s\"}", k ? "," : "", k,
                            k % 2 ? "boolean" : "string");
            ag_buf_adds(&text, "}}");
        }
        ag_buf_adds(&text, "}}");
        ag_grammar *g = compile(AG_STRUCTURE_JSON_SCHEMA, ag_buf_cstr(&text));
        assert_true(
            takes(g, "{\"o0\":{\"p1\":true,\"p8\":\"x\"},\"o150\":{},\"o299\":{\"p9\":false}}"));
        assert_false(takes(g, "{\"o0\":{\"p8\":\"x\",\"p1\":true}}"));
        assert_false(takes(g, "{\"o7\":{},\"o6\":{}}"));
        assert_int_equal(takes(g, "{\"o299\":{\"p0\":\"\",\"x\":[1]}}"), others);
        ag_grammar_unref(g);
        ag_buf_deinit(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allows_what_it_should),
        cmocka_unit_test(masks_are_what_accepting_says),
        cmocka_unit_test(any_object),
        cmocka_unit_test(schemas_in_grammars),
        cmocka_unit_test(what_nothing_fulfils_is_told_by_its_place),
        cmocka_unit_test(refusals_say_where),
        cmocka_unit_test(large_schemas),
        cmocka_unit_test(many_objects_of_optional_properties),
    };
    return cmocka_run_group_tests(tests, make_vocab, free_vocab);
}
