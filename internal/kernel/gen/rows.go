package main

func rows(g *generator) {}
