/* SPDX-License-Identifier: MIT */
/* XML-RPC in and out, see xmlrpc.h. */
#include "xmlrpc.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

/* ---- parsing ---- */

struct reader {
    char *why;
    unsigned depth;
};

static int wrong(struct reader *r, const char *what, const xmlNode *at)
{
    snprintf(r->why, VG_XMLRPC_WHY, "%s%s%.40s%s", what, at ? " at <" : "",
             at ? (const char *)at->name : "", at ? ">" : "");
    return -1;
}

static bool is_element(const xmlNode *n, const char *name)
{
    return n && n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0;
}

/* Blanks between elements mean nothing. */
static bool is_blank(const xmlNode *n)
{
    return n->type == XML_TEXT_NODE && xmlIsBlankNode((xmlNode *)n);
}

static xmlNode *skip_blanks(xmlNode *n)
{
    while (n && is_blank(n))
        n = n->next;
    return n;
}

/* The only child, which must be an element of that name. */
static xmlNode *only_child(const xmlNode *n, const char *name)
{
    xmlNode *child = skip_blanks(n->children);

    return is_element(child, name) && !skip_blanks(child->next) ? child : NULL;
}

/* The text of an element that has nothing but text. */
static int read_text(struct reader *r, xmlNode *n, json_object **ret_text)
{
    xmlChar *text;

    for (const xmlNode *child = n->children; child; child = child->next) {
        if (child->type != XML_TEXT_NODE)
            return wrong(r, "text expected, found something else", n);
    }
    text = xmlNodeGetContent(n);
    *ret_text = json_object_new_string(text ? (const char *)text : "");
    xmlFree(text);
    return *ret_text ? 0 : wrong(r, "out of memory", NULL);
}

static int read_value(struct reader *r, xmlNode *value, json_object **ret);

static int read_member(struct reader *r, xmlNode *member, json_object *into)
{
    xmlNode *name = skip_blanks(member->children);
    xmlNode *value = name ? skip_blanks(name->next) : NULL;
    json_object *key = NULL, *v = NULL;

    if (!is_element(member, "member") || !is_element(name, "name") ||
        !is_element(value, "value") || skip_blanks(value->next))
        return wrong(r, "a member is one name and one value", member);
    if (read_text(r, name, &key) < 0)
        return -1;
    if (json_object_object_get_ex(into, json_object_get_string(key), NULL)) {
        snprintf(r->why, VG_XMLRPC_WHY, "\"%.80s\" is there twice", json_object_get_string(key));
        json_object_put(key);
        return -1;
    }
    if (read_value(r, value, &v) < 0) {
        json_object_put(key);
        return -1;
    }
    json_object_object_add(into, json_object_get_string(key), v);
    json_object_put(key);
    return 0;
}

static int read_struct(struct reader *r, xmlNode *n, json_object **ret)
{
    json_object *o = json_object_new_object();

    for (xmlNode *m = skip_blanks(n->children); m; m = skip_blanks(m->next)) {
        if (read_member(r, m, o) < 0) {
            json_object_put(o);
            return -1;
        }
    }
    *ret = o;
    return 0;
}

static int read_array(struct reader *r, xmlNode *n, json_object **ret)
{
    xmlNode *data = only_child(n, "data");
    json_object *list;

    if (!data)
        return wrong(r, "an array has one <data>", n);
    list = json_object_new_array();
    for (xmlNode *v = skip_blanks(data->children); v; v = skip_blanks(v->next)) {
        json_object *item = NULL;

        if (!is_element(v, "value") || read_value(r, v, &item) < 0) {
            if (!is_element(v, "value"))
                wrong(r, "an array holds values only", v);
            json_object_put(list);
            return -1;
        }
        json_object_array_add(list, item);
    }
    *ret = list;
    return 0;
}

static int read_boolean(struct reader *r, xmlNode *n, json_object **ret)
{
    json_object *text = NULL;

    if (read_text(r, n, &text) < 0)
        return -1;
    *ret = json_object_new_boolean(strcmp(json_object_get_string(text), "1") == 0);
    json_object_put(text);
    return 0;
}

static int read_nil(struct reader *r, xmlNode *n, json_object **ret)
{
    if (n->children)
        return wrong(r, "nil holds nothing", n);
    *ret = NULL;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct reader *r, xmlNode *n, json_object **ret);
} types[] = {
    { "string", read_text }, { "struct", read_struct }, { "array", read_array },
    { "boolean", read_boolean }, { "int", read_text }, { "i4", read_text }, { "i8", read_text },
    { "double", read_text }, { "dateTime.iso8601", read_text }, { "base64", read_text },
    { "nil", read_nil },
};

static int read_typed(struct reader *r, xmlNode *n, json_object **ret)
{
    int rc = -1;

    if (r->depth >= VG_XMLRPC_DEPTH)
        return wrong(r, "nested too deeply", n);
    r->depth++;
    for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (is_element(n, types[i].name)) {
            rc = types[i].read(r, n, ret);
            r->depth--;
            return rc;
        }
    }
    return wrong(r, "no type of XML-RPC", n);
}

static int read_value(struct reader *r, xmlNode *value, json_object **ret)
{
    xmlNode *child = skip_blanks(value->children);

    if (!child || child->type == XML_TEXT_NODE)
        return read_text(r, value, ret);
    if (child->type != XML_ELEMENT_NODE || skip_blanks(child->next))
        return wrong(r, "a value is one thing", value);
    return read_typed(r, child, ret);
}

/* libxml2 writes to stderr unless told what else to do with its messages. */
static void silent(void *ctx, const char *msg, ...)
{
    (void)ctx, (void)msg;
}

/*
 * Document types have no place in XML-RPC. One is refused
 * before libxml2 sees it, so that no entity is ever declared, let alone expanded.
 */
static xmlDoc *parse(const char *text, size_t len, char *why)
{
    xmlDoc *doc;

    if (len > INT_MAX / 2 || memmem(text, len, "<!", 2)) {
        snprintf(why, VG_XMLRPC_WHY, "not XML-RPC: no \"<!\" may be in it");
        return NULL;
    }
    xmlSetGenericErrorFunc(NULL, silent);
    doc = xmlReadMemory(text, (int)len, NULL, "UTF-8",
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!doc)
        snprintf(why, VG_XMLRPC_WHY, "not well-formed XML");
    return doc;
}

static int read_params(struct reader *r, xmlNode *params, json_object *list)
{
    for (xmlNode *p = skip_blanks(params->children); p; p = skip_blanks(p->next)) {
        xmlNode *value = is_element(p, "param") ? only_child(p, "value") : NULL;
        json_object *v = NULL;

        if (!value)
            return wrong(r, "a parameter is one value", p);
        if (read_value(r, value, &v) < 0)
            return -1;
        json_object_array_add(list, v);
    }
    return 0;
}

static int read_call(struct reader *r, xmlNode *root, json_object **ret)
{
    xmlNode *name = root ? skip_blanks(root->children) : NULL;
    xmlNode *params = name ? skip_blanks(name->next) : NULL;
    json_object *call, *list, *method = NULL;

    if (!is_element(root, "methodCall") || !is_element(name, "methodName") ||
        !is_element(params, "params") || skip_blanks(params->next))
        return wrong(r, "not a methodCall with methodName and params", NULL);
    if (read_text(r, name, &method) < 0)
        return -1;
    call = json_object_new_object();
    list = json_object_new_array();
    json_object_object_add(call, "method", method);
    json_object_object_add(call, "params", list);
    if (read_params(r, params, list) < 0) {
        json_object_put(call);
        return -1;
    }
    *ret = call;
    return 0;
}

int vg_xmlrpc_parse_call(const char *text, size_t len, json_object **ret_call, char *why)
{
    struct reader r = { .why = why };
    xmlDoc *doc = parse(text, len, why);
    int rc = doc ? read_call(&r, xmlDocGetRootElement(doc), ret_call) : -1;

    xmlFreeDoc(doc);
    return rc;
}

static int read_answer(struct reader *r, xmlNode *root, json_object **ret)
{
    xmlNode *inner = root ? skip_blanks(root->children) : NULL, *value;
    json_object *fault;

    if (!is_element(root, "methodResponse") || !inner || skip_blanks(inner->next))
        return wrong(r, "not a methodResponse", NULL);
    if (is_element(inner, "fault")) {
        value = only_child(inner, "value");
        fault = NULL;
        if (!value || read_value(r, value, &fault) < 0)
            return -1;
        *ret = json_object_new_object();
        json_object_object_add(*ret, "fault", fault);
        return 0;
    }
    inner = is_element(inner, "params") ? only_child(inner, "param") : NULL;
    value = inner ? only_child(inner, "value") : NULL;
    return value ? read_value(r, value, ret) : wrong(r, "an answer has one value", root);
}

int vg_xmlrpc_parse_answer(const char *text, size_t len, json_object **ret_value, char *why)
{
    struct reader r = { .why = why };
    xmlDoc *doc = parse(text, len, why);
    int rc = doc ? read_answer(&r, xmlDocGetRootElement(doc), ret_value) : -1;

    xmlFreeDoc(doc);
    return rc;
}

/* ---- writing ---- */

static void put_string(struct vg_text *t, const char *text)
{
    if (!*text) {
        vg_text_puts(t, "<value/>");
        return;
    }
    vg_text_puts(t, "<value>");
    vg_text_put_xml(t, text);
    vg_text_puts(t, "</value>");
}

static void put_map(struct vg_text *t, json_object *map)
{
    vg_text_puts(t, json_object_object_length(map) ? "<value><struct>" : "<value><struct/>");
    json_object_object_foreach(map, key, value)
    {
        vg_text_puts(t, "<member><name>");
        vg_text_put_xml(t, key);
        vg_text_puts(t, "</name>");
        put_string(t, json_object_get_string(value));
        vg_text_puts(t, "</member>");
    }
    vg_text_puts(t, json_object_object_length(map) ? "</struct></value>" : "</value>");
}

void vg_xmlrpc_put_call(struct vg_text *t, const char *method, json_object *params)
{
    vg_text_puts(t, "<methodCall><methodName>");
    vg_text_put_xml(t, method);
    vg_text_puts(t, "</methodName><params>");
    for (size_t i = 0; i < (size_t)json_object_array_length(params); i++) {
        json_object *p = json_object_array_get_idx(params, (int)i);

        vg_text_puts(t, "<param>");
        if (json_object_is_type(p, json_type_object))
            put_map(t, p);
        else
            put_string(t, json_object_get_string(p));
        vg_text_puts(t, "</param>");
    }
    vg_text_puts(t, "</params></methodCall>");
}

static const char head[] = "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n"
                           "<value><struct>\n<member>\n<name>Status</name>\n<value><string>";
static const char tail[] = "</member>\n</struct></value>\n</param>\n</params>\n"
                           "</methodResponse>\n\n";

void vg_xmlrpc_put_success(struct vg_text *t, const char *value)
{
    vg_text_puts(t, head);
    vg_text_puts(t, "Success</string></value>\n</member>\n<member>\n<name>Value</name>\n"
                    "<value><string>");
    vg_text_put_xml(t, value);
    vg_text_puts(t, "</string></value>\n");
    vg_text_puts(t, tail);
}

void vg_xmlrpc_put_failure(struct vg_text *t, const char *const *parts, unsigned count)
{
    vg_text_puts(t, head);
    vg_text_puts(t, "Failure</string></value>\n</member>\n<member>\n"
                    "<name>ErrorDescription</name>\n<value><array><data>\n");
    for (unsigned i = 0; i < count; i++) {
        vg_text_puts(t, "<value><string>");
        vg_text_put_xml(t, parts[i]);
        vg_text_puts(t, "</string></value>\n");
    }
    vg_text_puts(t, "</data></array></value>\n");
    vg_text_puts(t, tail);
}
