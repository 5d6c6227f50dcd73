/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said about the options, from their table. */
#include <string.h>

#include "vmm/options-internal.h"

#define COLUMN 24
#define WIDTH  96

/* Breaks text at spaces; continued lines begin at COLUMN. */
static void print_wrapped(FILE *out, const char *text)
{
    size_t column = COLUMN;

    while (*text) {
        size_t len = strcspn(text, " ");

        if (column > COLUMN && column + 1 + len > WIDTH) {
            fprintf(out, "\n%*s", COLUMN, "");
            column = COLUMN;
        } else if (column > COLUMN) {
            fputc(' ', out);
            column++;
        }
        fwrite(text, 1, len, out);
        column += len;
        text += len;
        while (*text == ' ')
            text++;
    }
    fputc('\n', out);
}

void options_print_help(FILE *out)
{
    struct option_list list;
    const char *group = NULL;

    fputs("Usage: batuta run [OPTION…] [FILE]\n"
          "Start a virtual machine in the foreground. FILE describes one (the same options as `key = value` "
          "lines),\nor is a kernel.\n",
          out);
    option_list_make(&list, &run_option_table);
    for (size_t i = 0; i < list.count; i++) {
        const struct option *o = list.row[i];
        int n;

        if (o->group && (!group || strcmp(o->group, group) != 0))
            fprintf(out, "\n%s:\n", o->group);
        group = o->group ? o->group : group;
        if (o->hidden)
            continue;
        n = fprintf(out, "  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        if (n >= COLUMN - 1)
            fprintf(out, "\n%*s", COLUMN, "");
        else
            fprintf(out, "%*s", COLUMN - n, "");
        print_wrapped(out, o->help);
    }
    fputs("\nExit status: 0 the guest powered off, 1 an error, 2 wrong usage, 64 the guest panicked, 66 "
          "triple fault,\n"
          "68 stopped from outside; with --debug-exit (value << 1) | 1. See batuta-run(1).\n",
          out);
}

void options_print_names(FILE *out)
{
    struct option_list list;

    option_list_make(&list, &run_option_table);
    for (size_t i = 0; i < list.count; i++) {
        const struct option *o = list.row[i];

        if (!o->hidden)
            fprintf(out, "--%s%s%s\n", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    }
}

static void print_cases(FILE *out, const struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct option *o = list->row[i];

        if (o->hidden || !o->arg)
            continue;
        fprintf(out, "    --%s)\n", o->name);
        if (o->choices) {
            fputs("        words=\"", out);
            for (size_t c = 0; o->choices[c]; c++)
                fprintf(out, "%s%s", c ? " " : "", o->choices[c]);
            fputs("\" ;;\n", out);
        } else if (o->complete && !strcmp(o->complete, "file")) {
            fputs("        files=yes ;;\n", out);
        } else {
            fprintf(out, "        words=\"%s\" ;;\n", o->complete ? o->complete : "");
        }
    }
}

void options_print_completion(FILE *out)
{
    struct option_list list;

    option_list_make(&list, &run_option_table);
    fputs("# SPDX-License-Identifier: GPL-2.0-or-later\n"
          "# bash completion for batuta, made from its option table: batuta-vmm --completion\n"
          "_batuta() {\n"
          "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" words=\"\" "
          "files=\"\"\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W \"run doctor ctl stats profile code hv version help\" -- "
          "\"$cur\"))\n"
          "        return\n"
          "    fi\n"
          "    case \"${COMP_WORDS[1]}\" in\n"
          "    doctor) COMPREPLY=($(compgen -W \"--json\" -- \"$cur\")); return ;;\n"
          "    help) COMPREPLY=($(compgen -W \"run doctor ctl stats profile code hv version\" -- \"$cur\")); "
          "return ;;\n"
          "    ctl)\n"
          "        if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
          "            compopt -o filenames 2>/dev/null\n"
          "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "        elif [ \"$COMP_CWORD\" -eq 3 ]; then\n"
          "            words=$(\"$1\" ctl \"${COMP_WORDS[2]}\" query-commands 2>/dev/null | "
          "sed -n 's/.*\"name\": \"\\(.*\\)\".*/\\1/p')\n"
          "            COMPREPLY=($(compgen -W \"--events $words\" -- \"$cur\"))\n"
          "        fi\n"
          "        return ;;\n"
          "    stats|profile|code)\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        case \"${COMP_WORDS[1]} $cur\" in\n"
          "        'stats -'*) COMPREPLY=($(compgen -W \"--json\" -- \"$cur\")) ;;\n"
          "        'profile -'*) COMPREPLY=($(compgen -W \"--seconds --rate --symbols --idle --output\" -- "
          "\"$cur\")) ;;\n"
          "        *) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
          "        esac\n"
          "        return ;;\n"
          "    hv)\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
          "            COMPREPLY=($(compgen -W \"check\" -- \"$cur\"))\n"
          "        elif [ \"$prev\" = --modules ]; then\n"
          "            mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")\n"
          "        else\n"
          "            case \"$cur\" in\n"
          "            -*) COMPREPLY=($(compgen -W \"--modules --memory --cpus --json\" -- \"$cur\")) ;;\n"
          "            *) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
          "            esac\n"
          "        fi\n"
          "        return ;;\n"
          "    run) ;;\n"
          "    *) return ;;\n"
          "    esac\n"
          "    case \"$prev\" in\n",
          out);
    print_cases(out, &list);
    fputs("    *)\n        words=\"", out);
    for (size_t i = 0; i < list.count; i++) {
        if (!list.row[i]->hidden)
            fprintf(out, "%s--%s", i ? " " : "", list.row[i]->name);
    }
    fputs("\"\n"
          "        case \"$cur\" in -*) ;; *) files=yes ;; esac ;;\n"
          "    esac\n"
          "    if [ -n \"$files\" ]; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "    else\n"
          "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "    fi\n"
          "}\n"
          "complete -F _batuta batuta\n",
          out);
}
