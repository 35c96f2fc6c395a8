package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReloadIsDocumented changes one setting after the other: NeedRestart must
// name exactly those whose comment does not say "Applied on reload".
func TestReloadIsDocumented(t *testing.T) {
	docs := comments()
	var walk func(c *Config, v reflect.Value, field string)
	walk = func(c *Config, v reflect.Value, field string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			key := f.Tag.Get("yaml")
			if key == "" {
				continue
			}
			at := join(field, key)
			if kindOf(f.Type) == "group" {
				walk(c, v.Field(i), at)
				continue
			}
			old := reflect.New(f.Type).Elem()
			old.Set(v.Field(i))
			change(v.Field(i))
			said := strings.Contains(docs[v.Type().Name()+"."+f.Name], "Applied on reload")
			require.Equal(t, !said, len(NeedRestart(Default(), c)) > 0, "%s: the comment says %v", at, said)
			v.Field(i).Set(old)
		}
	}
	c := Default()
	walk(c, reflect.ValueOf(c).Elem(), "")
}

// change gives a setting another value.
func change(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		m.SetMapIndex(reflect.ValueOf("x"), reflect.Zero(v.Type().Elem()))
		v.Set(m)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Struct: // Raw
		v.Set(reflect.ValueOf(Raw{file: "other"}))
	default:
		panic(v.Kind())
	}
}
